using System.Diagnostics;
using System.Globalization;
using Millrace.Bench.Running;
using Millrace.Coordination.Client;

namespace Millrace.Bench.Consensus;

/// <summary>Three processes on loopback that speak etcd's API: ours as <c>cluster start</c> runs them, or etcd.</summary>
internal abstract class StoreGroup : IAsyncDisposable
{
    public static readonly string[] Names = ["a", "b", "c"];
    private readonly Dictionary<string, Process> _running = [];

    protected StoreGroup(string folder)
    {
        Folder = folder;
        Directory.CreateDirectory(folder);
        var ports = PlatformProcess.FreePorts(6);
        for (var i = 0; i < Names.Length; i++)
        {
            Clients[Names[i]] = ports[i];
            Peers[Names[i]] = ports[i + 3];
        }
    }

    public abstract string Label { get; }

    public string Folder { get; }

    public Dictionary<string, int> Clients { get; } = [];

    public Dictionary<string, int> Peers { get; } = [];

    public string Endpoints => string.Join(',', Clients.Values.Select(p => $"127.0.0.1:{p}"));

    public Uri[] Addresses => [.. Clients.Values.Select(p => new Uri($"http://127.0.0.1:{p}"))];

    public Uri AddressOf(string name) => new($"http://127.0.0.1:{Clients[name]}");

    public async Task StartAsync(CancellationToken cancellation)
    {
        foreach (var name in Names)
            Start(name);
        await WriteAsync(Addresses, TimeSpan.FromSeconds(30), cancellation);
    }

    public void Start(string name)
    {
        var start = Command(name);
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        var process = Process.Start(start)!;
        process.OutputDataReceived += static (_, _) => { };
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _running[name] = process;
    }

    /// <summary>SIGKILL; returns once the signal is sent.</summary>
    public Process Kill(string name)
    {
        _running.Remove(name, out var process);
        process!.Kill();
        return process;
    }

    /// <summary>Processor seconds of all members so far.</summary>
    public double CpuSeconds() => _running.Values.Sum(static p =>
    {
        p.Refresh();
        return p.TotalProcessorTime.TotalSeconds;
    });

    public async Task<string> LeaderAsync(CancellationToken cancellation)
    {
        while (true)
        {
            foreach (var name in Names.Where(_running.ContainsKey))
            {
                using var client = new ClusterClient([AddressOf(name)], TimeSpan.FromSeconds(2));
                try
                {
                    var report = await client.ReportAsync(AddressOf(name), cancellation);
                    if (report.Leader == report.MemberId)
                        return name;
                }
                catch (CoordinationException)
                {
                    // Not up yet; the next one may be.
                }
            }
            await Task.Delay(20, cancellation);
        }
    }

    /// <summary>Puts again and again, to each address in turn and with little patience, until one is acknowledged; returns the time that took.</summary>
    public static async Task<TimeSpan> WriteAsync(IReadOnlyList<Uri> addresses, TimeSpan most, CancellationToken cancellation)
    {
        var clients = addresses.Select(a => new CoordinationClient([a], TimeSpan.FromMilliseconds(300))).ToArray();
        var clock = Stopwatch.StartNew();
        try
        {
            for (var i = 0; clock.Elapsed < most; i++)
            {
                try
                {
                    await clients[i % clients.Length].PutAsync("bench/alive", "yes", cancellation);
                    return clock.Elapsed;
                }
                catch (CoordinationException)
                {
                    await Task.Delay(5, cancellation);
                }
            }
        }
        finally
        {
            foreach (var client in clients)
                client.Dispose();
        }
        throw new TimeoutException($"no write was acknowledged in {most.TotalSeconds} s");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var name in _running.Keys.ToArray())
        {
            using var process = Kill(name);
            await process.WaitForExitAsync();
        }
        Directory.Delete(Folder, recursive: true);
    }

    protected abstract ProcessStartInfo Command(string name);
}

/// <param name="reads">How members answer linearizable reads: index, lease or quorum.</param>
/// <param name="consensus">The algorithm.</param>
internal sealed class MillraceGroup(string folder, string reads = "index", string consensus = "raft") : StoreGroup(folder)
{
    public override string Label => "Millrace";

    protected override ProcessStartInfo Command(string name) => new("dotnet")
    {
        ArgumentList =
        {
            typeof(Millrace.Host.Demo.RetailReplay).Assembly.Location, "cluster", "start", "--name", name, "--data", Path.Combine(Folder, name),
            "--listen", string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{Clients[name]}"), "--members",
            string.Join(',', Names.Select(n => $"{n}=127.0.0.1:{Peers[n]}")), "--reads", reads, "--consensus", consensus,
        },
    };
}

internal sealed class EtcdGroup(string folder, string program) : StoreGroup(folder)
{
    public override string Label => "etcd";

    protected override ProcessStartInfo Command(string name) => new(program)
    {
        ArgumentList =
        {
            "--name", name, "--data-dir", Path.Combine(Folder, name), "--log-level", "error",
            "--listen-client-urls", $"http://127.0.0.1:{Clients[name]}", "--advertise-client-urls", $"http://127.0.0.1:{Clients[name]}",
            "--listen-peer-urls", $"http://127.0.0.1:{Peers[name]}", "--initial-advertise-peer-urls", $"http://127.0.0.1:{Peers[name]}",
            "--initial-cluster", string.Join(',', Names.Select(n => $"{n}=http://127.0.0.1:{Peers[n]}")),
        },
    };
}
