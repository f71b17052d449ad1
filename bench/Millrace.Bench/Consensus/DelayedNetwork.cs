using System.Diagnostics;
using System.Globalization;

namespace Millrace.Bench.Consensus;

/// <summary>
/// Three network namespaces on one bridge; what leaves a member is held back by tc netem, so that a round trip between two members takes
/// twice the delay, and one between the client and a member once. Needs root; all is taken away again.
/// </summary>
internal sealed class DelayedNetwork : IAsyncDisposable
{
    private const string Bridge = "millrace-bench";
    private const string Prefix = "10.213.77.";

    public static bool IsPossible => OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && File.Exists("/usr/sbin/ip") && File.Exists("/usr/sbin/tc");

    public static async Task<DelayedNetwork> CreateAsync(int delayMillis, CancellationToken cancellation)
    {
        var network = new DelayedNetwork();
        await network.RemoveAsync();
        await RunAsync("ip", $"link add {Bridge} type bridge", cancellation);
        await RunAsync("ip", $"addr add {Prefix}254/24 dev {Bridge}", cancellation);
        await RunAsync("ip", $"link set {Bridge} up", cancellation);
        foreach (var name in StoreGroup.Names)
        {
            await RunAsync("ip", $"netns add {SpaceOf(name)}", cancellation);
            await RunAsync("ip", $"link add mrb-{name} type veth peer name mrn-{name} netns {SpaceOf(name)}", cancellation);
            await RunAsync("ip", $"link set mrb-{name} master {Bridge} up", cancellation);
            await RunAsync("ip", $"-n {SpaceOf(name)} addr add {network.HostOf(name)}/24 dev mrn-{name}", cancellation);
            await RunAsync("ip", $"-n {SpaceOf(name)} link set mrn-{name} up", cancellation);
            await RunAsync("ip", $"-n {SpaceOf(name)} link set lo up", cancellation);
            await RunAsync("tc", $"-n {SpaceOf(name)} qdisc add dev mrn-{name} root netem limit 100000 delay {delayMillis}ms", cancellation);
        }
        return network;
    }

    public string HostOf(string name) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{1 + Array.IndexOf(StoreGroup.Names, name)}");

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

    public async ValueTask DisposeAsync() => await RemoveAsync();

    private static string SpaceOf(string name) => "millrace-bench-" + name;

    private async Task RemoveAsync()
    {
        var known = await RunAsync("ip", "netns list", CancellationToken.None);
        if (known.Contains(SpaceOf(StoreGroup.Names[0]), StringComparison.Ordinal))
            await EndProcessesAsync();
        foreach (var name in StoreGroup.Names)
        {
            if (known.Contains(SpaceOf(name), StringComparison.Ordinal))
                await RunAsync("ip", $"netns del {SpaceOf(name)}", CancellationToken.None);
        }
        if ((await RunAsync("ip", "link show type bridge", CancellationToken.None)).Contains(Bridge, StringComparison.Ordinal))
            await RunAsync("ip", $"link del {Bridge}", CancellationToken.None);
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
}
