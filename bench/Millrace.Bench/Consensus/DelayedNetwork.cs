using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Millrace.Bench.Consensus;

/// <summary>
/// Three network namespaces joined by a switch of our own over tun devices, which holds back what leaves a member: a round trip between two
/// members takes twice the delay, one between the client and a member once. Not tc netem, since many kernels come without. Needs root;
/// all is taken away again.
/// </summary>
internal sealed class DelayedNetwork : IAsyncDisposable
{
    private const string Prefix = "10.213.77.";
    private const int MostPacketBytes = 65_536;
    private const byte ClientAddress = 254;
    private readonly Dictionary<byte, int> _devices = [];
    private readonly int _delayMillis;
    private volatile bool _isStopping;

    private DelayedNetwork(int delayMillis) => _delayMillis = delayMillis;

    public static bool IsPossible => OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && File.Exists("/dev/net/tun") && File.Exists("/usr/sbin/ip");

    public static async Task<DelayedNetwork> CreateAsync(int delayMillis, CancellationToken cancellation)
    {
        var network = new DelayedNetwork(delayMillis);
        await network.RemoveAsync();
        network._devices[ClientAddress] = OpenDevice("mrt-client");
        await RunAsync("ip", $"addr add {Prefix}{ClientAddress}/24 dev mrt-client", cancellation);
        await RunAsync("ip", "link set mrt-client mtu 9000 up", cancellation);
        foreach (var name in StoreGroup.Names)
        {
            await RunAsync("ip", $"netns add {SpaceOf(name)}", cancellation);
            network._devices[AddressOf(name)] = OpenDevice("mrt-" + name);
            await RunAsync("ip", $"link set mrt-{name} netns {SpaceOf(name)}", cancellation);
            await RunAsync("ip", $"-n {SpaceOf(name)} addr add {network.HostOf(name)}/24 dev mrt-{name}", cancellation);
            await RunAsync("ip", $"-n {SpaceOf(name)} link set mrt-{name} mtu 9000 up", cancellation);
            await RunAsync("ip", $"-n {SpaceOf(name)} link set lo up", cancellation);
        }
        foreach (var (address, device) in network._devices)
            network.Serve(device, address == ClientAddress ? 0 : delayMillis);
        return network;
    }

    public string HostOf(string name) => Prefix + AddressOf(name).ToString(CultureInfo.InvariantCulture);

    /// <summary>The arguments of <c>ip</c> that run a program there.</summary>
    public IEnumerable<string> Within(string name) => ["netns", "exec", SpaceOf(name)];

    /// <summary>Ends what still runs in the namespaces.</summary>
    public async Task EndProcessesAsync()
    {
        foreach (var name in StoreGroup.Names)
        {
            foreach (var id in (await RunAsync("ip", $"netns pids {SpaceOf(name)}", CancellationToken.None)).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                try
                {
                    using var process = Process.GetProcessById(int.Parse(id, CultureInfo.InvariantCulture));
                    process.Kill();
                    await process.WaitForExitAsync();
                }
                catch (ArgumentException)
                {
                    // It has ended by itself.
                }
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        _isStopping = true;
        // A thread that waits in a read keeps its device, whose name the next network needs; without the device the read ends.
        await RunAsync("ip", "link del mrt-client", CancellationToken.None);
        foreach (var device in _devices.Values)
            _ = Close(device);
        await RemoveAsync();
    }

    private static byte AddressOf(string name) => (byte)(1 + Array.IndexOf(StoreGroup.Names, name));

    private static string SpaceOf(string name) => "millrace-bench-" + name;

    /// <summary>One thread takes packets in, another lets them out when they are due, in order.</summary>
    private void Serve(int device, int delayMillis)
    {
        var waiting = new BlockingCollection<(long Due, byte[] Packet)>();
        var delay = delayMillis * Stopwatch.Frequency / 1000;
        new Thread(() =>
        {
            var buffer = new byte[MostPacketBytes];
            while (!_isStopping)
            {
                var count = (int)Read(device, ref buffer[0], buffer.Length);
                // IPv4 to an address of ours; what else a kernel says of itself is dropped.
                if (count >= 20 && buffer[0] >> 4 == 4)
                    waiting.Add((Stopwatch.GetTimestamp() + delay, buffer.AsSpan(0, count).ToArray()));
                else if (count < 0)
                    break;
            }
            waiting.CompleteAdding();
        }) { IsBackground = true, Name = "network in" }.Start();
        new Thread(() =>
        {
            foreach (var (due, packet) in waiting.GetConsumingEnumerable())
            {
                for (long left; (left = due - Stopwatch.GetTimestamp()) > 0;)
                    _ = Sleep((uint)Math.Max(1, left * 1_000_000 / Stopwatch.Frequency));
                if (!_isStopping && _devices.TryGetValue(packet[19], out var target))
                    _ = Write(target, ref packet[0], packet.Length);
            }
        }) { IsBackground = true, Name = "network out" }.Start();
    }

    private async Task RemoveAsync()
    {
        var known = await RunAsync("ip", "netns list", CancellationToken.None);
        if (StoreGroup.Names.All(n => known.Contains(SpaceOf(n), StringComparison.Ordinal)))
            await EndProcessesAsync();
        foreach (var name in StoreGroup.Names)
        {
            if (known.Contains(SpaceOf(name), StringComparison.Ordinal))
                await RunAsync("ip", $"netns del {SpaceOf(name)}", CancellationToken.None);
        }
    }

    private static async Task<string> RunAsync(string program, string arguments, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(cancellation);
        var output = await process.StandardOutput.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} {arguments}: {await errors}");
    }

    /// <summary>A tun device (Linux, Documentation/networking/tuntap.rst).</summary>
    private static int OpenDevice(string name)
    {
        const int readWrite = 2, closeOnExec = 0x80000;
        const ulong setInterface = 0x400454CA;
        const short packetsWithoutHeader = 0x0001 | 0x1000;
        var descriptor = Open("/dev/net/tun", readWrite | closeOnExec);
        var request = new byte[40];
        Encoding.ASCII.GetBytes(name, request);
        BitConverter.TryWriteBytes(request.AsSpan(16), packetsWithoutHeader);
        return descriptor >= 0 && Control(descriptor, setInterface, ref request[0]) == 0
            ? descriptor
            : throw new InvalidOperationException($"no device {name} (errno {Marshal.GetLastPInvokeError()})");
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static extern int Control(int descriptor, ulong request, ref byte argument);

    [DllImport("libc", EntryPoint = "read")]
    private static extern nint Read(int descriptor, ref byte buffer, nint length);

    [DllImport("libc", EntryPoint = "write")]
    private static extern nint Write(int descriptor, ref byte buffer, nint length);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);

    [DllImport("libc", EntryPoint = "usleep")]
    private static extern int Sleep(uint micros);
}
