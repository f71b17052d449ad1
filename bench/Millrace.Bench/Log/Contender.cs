using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Millrace.Bench.Running;
using Millrace.Kafka.Clients;

namespace Millrace.Bench.Log;

/// <summary>A log under measurement: a process that speaks Kafka's protocol.</summary>
public abstract class Contender : IAsyncDisposable
{
    public abstract string Name { get; }

    public abstract string Brokers { get; }

    public abstract int ProcessId { get; }

    /// <summary>Topic settings that its topics are made with.</summary>
    public IReadOnlyDictionary<string, string> TopicConfigs { get; init; } = new Dictionary<string, string>();

    /// <summary>Starts it and returns when it answers, with the time that took.</summary>
    public abstract Task<TimeSpan> StartAsync(CancellationToken cancellation);

    /// <summary>SIGTERM, and waits.</summary>
    public abstract Task StopAsync();

    /// <summary>SIGKILL.</summary>
    public abstract Task KillAsync();

    public async ValueTask DisposeAsync() => await KillAsync();

    public async Task CreateTopicAsync(string topic, int partitions)
    {
        KafkaLibraries.EnsureReady();
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = Brokers }).SetLogHandler((_, _) => { }).Build();
        await admin.CreateTopicsAsync([new TopicSpecification
        {
            Name = topic, NumPartitions = partitions, ReplicationFactor = 1, Configs = new Dictionary<string, string>(TopicConfigs),
        }], new CreateTopicsOptions { RequestTimeout = TimeSpan.FromMinutes(1), OperationTimeout = TimeSpan.FromMinutes(1) });
    }

    /// <summary>Resident memory of the process and of those it has started.</summary>
    public double ResidentMegabytes()
    {
        var line = File.ReadLines($"/proc/{ProcessId}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024.0;
    }

    protected static async Task WaitForPortAsync(int port, Process process, IEnumerable<string> said, CancellationToken cancellation)
    {
        while (!process.HasExited)
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, port, cancellation);
                await socket.SendAsync(ApiVersions, cancellation);
                if (await socket.ReceiveAsync(new byte[4], cancellation) > 0)
                    return;
            }
            catch (SocketException)
            {
                // Not listening yet.
            }
            await Task.Delay(10, cancellation);
        }
        // What it said last arrives behind its end.
        await process.WaitForExitAsync(cancellation);
        throw new InvalidOperationException($"the process ended with {process.ExitCode}\n{string.Join('\n', said)}");
    }

    /// <summary>An ApiVersions request, version 0, without client id.</summary>
    internal static readonly byte[] ApiVersions = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255];
}

/// <summary>The platform, started as a user would.</summary>
internal sealed class MillraceContender(PlatformProcess platform, string name) : Contender
{
    public override string Name { get; } = name;

    public override string Brokers => platform.Brokers;

    public override int ProcessId => platform.ProcessId;

    public override Task<TimeSpan> StartAsync(CancellationToken cancellation) => platform.StartAsync(cancellation);

    public override Task StopAsync() => platform.StopAsync();

    public override Task KillAsync() => platform.KillAsync();
}

/// <summary>One Apache Kafka broker in KRaft mode.</summary>
public sealed class KafkaContender(string engines, string folder, int port, string name) : Contender
{
    // Of what it says, for the error when it does not start.
    private const int LinesKept = 40;

    private Process? _process;

    public override string Name { get; } = name;

    public override string Brokers => $"127.0.0.1:{port}";

    public override int ProcessId => _process?.Id ?? throw new InvalidOperationException("Apache Kafka does not run");

    public override async Task<TimeSpan> StartAsync(CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var start = new ProcessStartInfo(Path.Combine(engines, "kafka/bin/start-broker")) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(folder);
        start.ArgumentList.Add(port.ToString(CultureInfo.InvariantCulture));
        _process = Process.Start(start)!;
        var said = new ConcurrentQueue<string>();
        _process.OutputDataReceived += (_, line) => Keep(said, line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(said, line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await WaitForPortAsync(port, _process, said, cancellation);
        return clock.Elapsed;
    }

    public override async Task StopAsync()
    {
        if (_process is not { HasExited: false } process)
            return;
        await process.TerminateAsync();
    }

    public override async Task KillAsync()
    {
        if (_process is not { HasExited: false } process)
            return;
        process.Kill();
        await process.WaitForExitAsync();
    }

    private static void Keep(ConcurrentQueue<string> said, string? line)
    {
        said.Enqueue(line ?? "");
        if (said.Count > LinesKept)
            said.TryDequeue(out _);
    }
}
