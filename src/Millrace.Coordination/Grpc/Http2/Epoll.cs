using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Millrace.Coordination.Grpc.Http2;

/// <summary>Waits for many sockets on one thread, as Linux does it (epoll(7)); .NET would hand each event to a thread of its pool.</summary>
internal sealed class Epoll : IDisposable
{
    public const uint In = 1;
    public const uint Out = 4;
    public const uint Hup = 0x10;
    public const uint Error = 8;
    private const int Interrupted = 4;
    private const int CloseOnExec = 0x80000;
    private const int MaxEvents = 256;

    // struct epoll_event is packed on x86 alone.
    private static readonly int EventBytes = RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.X86 ? 12 : 16;
    private readonly byte[] _events = new byte[MaxEvents * 16];
    private readonly int _descriptor;

    public Epoll()
    {
        _descriptor = Create(CloseOnExec);
        if (_descriptor < 0)
            throw new IOException($"epoll_create1 failed (errno {Marshal.GetLastPInvokeError()})");
    }

    public void Add(int descriptor, long key, uint events) => Control(1, descriptor, key, events);

    public void Change(int descriptor, long key, uint events) => Control(3, descriptor, key, events);

    /// <summary>Returns how many events <see cref="At"/> has.</summary>
    public int Wait(int milliseconds)
    {
        var count = WaitNative(_descriptor, ref _events[0], MaxEvents, milliseconds);
        if (count >= 0)
            return count;
        return Marshal.GetLastPInvokeError() == Interrupted ? 0 : throw new IOException($"epoll_wait failed (errno {Marshal.GetLastPInvokeError()})");
    }

    public (long Key, uint Events) At(int number)
    {
        var entry = _events.AsSpan(number * EventBytes);
        return (BinaryPrimitives.ReadInt64LittleEndian(entry[(EventBytes - 8)..]), BinaryPrimitives.ReadUInt32LittleEndian(entry));
    }

    public void Dispose() => _ = Close(_descriptor);

    private void Control(int operation, int descriptor, long key, uint events)
    {
        Span<byte> entry = stackalloc byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(entry, events);
        BinaryPrimitives.WriteInt64LittleEndian(entry[(EventBytes - 8)..], key);
        if (ControlNative(_descriptor, operation, descriptor, ref entry[0]) != 0)
            throw new IOException($"epoll_ctl failed (errno {Marshal.GetLastPInvokeError()})");
    }

    [DllImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    private static extern int Create(int flags);

    [DllImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static extern int ControlNative(int descriptor, int operation, int target, ref byte entry);

    [DllImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    private static extern int WaitNative(int descriptor, ref byte events, int most, int milliseconds);

    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    private static extern int Close(int descriptor);
}
