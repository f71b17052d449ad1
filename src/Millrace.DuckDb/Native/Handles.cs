using System.Runtime.InteropServices;

namespace Millrace.DuckDb.Native;

/// <summary>A handle that keeps another alive until it is released itself, so that any order of disposal is safe.</summary>
internal abstract class DependentHandle : SafeHandle
{
    private readonly SafeHandle? _parent;

    protected DependentHandle(nint handle, SafeHandle? parent)
        : base(0, ownsHandle: true)
    {
        if (parent is not null)
        {
            var added = false;
            parent.DangerousAddRef(ref added);
            _parent = parent;
        }
        SetHandle(handle);
    }

    public override bool IsInvalid => handle == 0;

    protected abstract void Free();

    protected sealed override bool ReleaseHandle()
    {
        Free();
        _parent?.DangerousRelease();
        return true;
    }
}

internal sealed class DatabaseHandle(nint value) : DependentHandle(value, null)
{
    protected override void Free() => NativeMethods.duckdb_close(ref handle);
}

internal sealed class ConnectionHandle(nint value, DatabaseHandle database) : DependentHandle(value, database)
{
    protected override void Free() => NativeMethods.duckdb_disconnect(ref handle);
}

internal sealed class StatementHandle(nint value, ConnectionHandle connection) : DependentHandle(value, connection)
{
    public ConnectionHandle Connection { get; } = connection;

    protected override void Free() => NativeMethods.duckdb_destroy_prepare(ref handle);
}

/// <summary>A duckdb_result in native memory.</summary>
internal sealed unsafe class ResultHandle(SafeHandle parent) : DependentHandle((nint)NativeMemory.AllocZeroed((nuint)sizeof(NativeResult)), parent)
{
    public NativeResult* Pointer => IsClosed ? throw new ObjectDisposedException(nameof(DuckDbResult)) : (NativeResult*)handle;

    protected override void Free()
    {
        NativeMethods.duckdb_destroy_result((NativeResult*)handle);
        NativeMemory.Free((void*)handle);
    }
}

internal sealed class ArrowOptionsHandle(nint value) : DependentHandle(value, null)
{
    public nint Value => handle;

    protected override void Free() => NativeMethods.duckdb_destroy_arrow_options(ref handle);
}
