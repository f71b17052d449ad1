using System.Diagnostics;
using System.Globalization;
using Millrace.Bench.Running;
using Millrace.Coordination.Client;
using Millrace.Raft.Transport;

namespace Millrace.Bench.Consensus;

/// <summary>Three processes that speak etcd's API, on loopback or apart: ours as <c>cluster start</c> runs them, or etcd.</summary>
internal abstract class StoreGroup : IAsyncDisposable
{
    public static readonly string[] Names = ["a", "b", "c"];
    private readonly Dictionary<string, Process> _running = [];
    private readonly DelayedNetwork? _network;

    /// <param name="folder">For their data.</param>
    /// <param name="network">Where each has an address and namespace of its own; null: loopback.</param>
    /// <param name="tls">Of the clients' port; null: in the clear.</param>
    protected StoreGroup(string folder, DelayedNetwork? network, TlsFiles? tls = null)
    {
        Folder = folder;
        _network = network;
        Tls = tls;
        Directory.CreateDirectory(folder);
        var ports = LoopbackPorts.Take(6);
        for (var i = 0; i < Names.Length; i++)
        {
            Clients[Names[i]] = ports[i];
            Peers[Names[i]] = ports[i + 3];
        }
    }

    public abstract string Label { get; }

    public string Folder { get; }

    /// <summary>Of the clients' port; null: in the clear.</summary>
    public TlsFiles? Tls { get; }

    protected string Scheme => Tls is null ? "http" : "https";

    public Dictionary<string, int> Clients { get; } = [];

    public Dictionary<string, int> Peers { get; } = [];

    public string Endpoints => string.Join(',', Clients.Select(c => $"{(Tls is null ? "" : "https://")}{HostOf(c.Key)}:{c.Value}"));

    public Uri[] Addresses => [.. Clients.Keys.Select(AddressOf)];

    public Uri AddressOf(string name) => new($"{Scheme}://{HostOf(name)}:{Clients[name]}");

    public string HostOf(string name) => _network?.HostOf(name) ?? "127.0.0.1";

    public async Task StartAsync(CancellationToken cancellation)
    {
        foreach (var name in Names)
            Start(name);
        // Each of them, since two of three already take writes.
        foreach (var name in Names)
            await WriteAsync([AddressOf(name)], TimeSpan.FromSeconds(30), cancellation, Tls);
    }

    public void Start(string name)
    {
        var start = Command(name);
        if (_network is not null)
        {
            string[] arguments = [.. _network.Within(name), start.FileName, .. start.ArgumentList];
            start.FileName = "ip";
            start.ArgumentList.Clear();
            foreach (var argument in arguments)
                start.ArgumentList.Add(argument);
        }
        Start(name, start);
    }

    protected void Start(string name, ProcessStartInfo start)
    {
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

    /// <summary>Bytes that all members have had written to disks so far.</summary>
    public long WrittenBytes() => _running.Values.Sum(static p => long.Parse(
        File.ReadLines($"/proc/{p.Id}/io").First(static l => l.StartsWith("write_bytes:", StringComparison.Ordinal)).Split(' ')[1], CultureInfo.InvariantCulture));

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
    public static async Task<TimeSpan> WriteAsync(IReadOnlyList<Uri> addresses, TimeSpan most, CancellationToken cancellation, TlsFiles? tls = null)
    {
        var clients = addresses.Select(a => new CoordinationClient([a], TimeSpan.FromMilliseconds(300), tls: tls)).ToArray();
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
        if (_network is not null)
            await _network.EndProcessesAsync();
        Directory.Delete(Folder, recursive: true);
    }

    /// <summary>How a member is started in the clear.</summary>
    protected abstract ProcessStartInfo Plain(string name);

    /// <summary>The same with the certificate, where there is one: both programs name it alike.</summary>
    protected ProcessStartInfo Command(string name)
    {
        var start = Plain(name);
        if (Tls is { } files)
        {
            foreach (var word in new[] { "--cert-file", files.Certificate!, "--key-file", files.Key! })
                start.ArgumentList.Add(word);
        }
        return start;
    }
}

/// <param name="reads">How members answer linearizable reads: index, lease or quorum.</param>
/// <param name="consensus">The algorithm.</param>
/// <param name="network">Null: loopback.</param>
/// <param name="tls">Of the clients' port; null: in the clear.</param>
internal sealed class MillraceGroup(string folder, string reads = "index", string consensus = "raft", DelayedNetwork? network = null, TlsFiles? tls = null)
    : StoreGroup(folder, network, tls)
{
    public override string Label => "Millrace";

    /// <summary>Starts one more, which the group was told of.</summary>
    public void Join(string name, int client, string peer)
    {
        Clients[name] = client;
        var start = Command(name);
        start.ArgumentList.Add("--join");
        start.ArgumentList[start.ArgumentList.IndexOf("--members") + 1] = MemberList + $",{name}={peer}";
        Start(name, start);
    }

    private string MemberList => string.Join(',', Names.Select(n => $"{n}={HostOf(n)}:{Peers[n]}"));

    protected override ProcessStartInfo Plain(string name) => new("dotnet")
    {
        ArgumentList =
        {
            PlatformProcess.Program, "cluster", "start", "--name", name, "--data", Path.Combine(Folder, name),
            "--listen", string.Create(CultureInfo.InvariantCulture, $"{HostOf(name)}:{Clients[name]}"), "--members", MemberList, "--reads", reads,
            "--consensus", consensus,
        },
        // As ./millrace runs members.
        Environment = { ["DOTNET_TieredPGO"] = "0" },
    };
}

internal sealed class EtcdGroup(string folder, string program, DelayedNetwork? network = null, TlsFiles? tls = null) : StoreGroup(folder, network, tls)
{
    public override string Label => "etcd";

    protected override ProcessStartInfo Plain(string name) => new(program)
    {
        ArgumentList =
        {
            "--name", name, "--data-dir", Path.Combine(Folder, name), "--log-level", "error",
            "--listen-client-urls", $"{Scheme}://{HostOf(name)}:{Clients[name]}", "--advertise-client-urls", $"{Scheme}://{HostOf(name)}:{Clients[name]}",
            "--listen-peer-urls", $"http://{HostOf(name)}:{Peers[name]}", "--initial-advertise-peer-urls", $"http://{HostOf(name)}:{Peers[name]}",
            "--initial-cluster", string.Join(',', Names.Select(n => $"{n}=http://{HostOf(n)}:{Peers[n]}")),
        },
    };
}
