using System.Runtime.InteropServices;

namespace Millrace.Columnar.Arrow;

/// <summary>struct ArrowSchema of the Arrow C data interface (Arrow Columnar Format, "The Arrow C data interface").</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct ArrowSchema
{
    public byte* Format;
    public byte* Name;
    public byte* Metadata;
    public long Flags;
    public long ChildCount;
    public ArrowSchema** Children;
    public ArrowSchema* Dictionary;

    /// <summary>Null once released or moved away.</summary>
    public delegate* unmanaged[Cdecl]<ArrowSchema*, void> Release;
    public void* PrivateData;

    /// <summary>ARROW_FLAG_NULLABLE.</summary>
    public const long NullableFlag = 2;
}

/// <summary>struct ArrowArray of the Arrow C data interface.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct ArrowArray
{
    public long Length;

    /// <summary>-1 when not counted.</summary>
    public long NullCount;
    public long Offset;
    public long BufferCount;
    public long ChildCount;
    public void** Buffers;
    public ArrowArray** Children;
    public ArrowArray* Dictionary;

    /// <summary>Null once released or moved away.</summary>
    public delegate* unmanaged[Cdecl]<ArrowArray*, void> Release;
    public void* PrivateData;
}
