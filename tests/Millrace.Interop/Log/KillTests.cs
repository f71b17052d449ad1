using System.Collections.Concurrent;
using System.Net;
using Confluent.Kafka;
using Millrace.Bench.Running;
using Millrace.Kafka.Clients;
using Millrace.Tests.Log;
using Xunit.Abstractions;

namespace Millrace.Interop.Log;

/// <summary>The real process under SIGKILL, with a producer that goes on.</summary>
public sealed class KillTests(ITestOutputHelper output)
{
    private const int Kills = 5;

    [Fact]
    public async Task No_acknowledged_record_is_lost_or_doubled_when_the_process_is_killed_again_and_again()
    {
        KafkaLibraries.EnsureReady();
        var seed = int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_SEED"), out var given) ? given : Environment.TickCount & 0xFFFF;
        output.WriteLine($"repeat with: MILLRACE_SEED={seed}");
        var random = new Random(seed);
        var folder = Directory.CreateTempSubdirectory("millrace-kill-").FullName;
        try
        {
            await using var platform = PlatformProcess.Create(folder);
            await platform.StartAsync(default);
            var acknowledged = new ConcurrentDictionary<int, (int Partition, long Offset)>();
            using var stop = new CancellationTokenSource();
            var producing = Task.Run(() => Produce(platform.Brokers, acknowledged, stop.Token));
            for (var kill = 0; kill < Kills; kill++)
            {
                var before = acknowledged.Count;
                await Until(() => acknowledged.Count > before + random.Next(200, 2000));
                await platform.KillAsync();
                await platform.StartAsync(default);
            }
            await stop.CancelAsync();
            var sent = await producing;
            var found = Read(platform.KafkaPort, acknowledged.Values.Select(v => v.Partition).Distinct());
            foreach (var (value, place) in acknowledged)
                Assert.True(found.TryGetValue(place, out var there) && there == value, $"record {value} was acknowledged at {place} and is not there");
            Assert.Equal(found.Values.Distinct().Count(), found.Count);
            output.WriteLine($"{sent} sent, {acknowledged.Count} acknowledged, {found.Count} found");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static int Produce(string brokers, ConcurrentDictionary<int, (int, long)> acknowledged, CancellationToken stop)
    {
        using var producer = new ProducerBuilder<Null, string>(new ProducerConfig
        {
            BootstrapServers = brokers, EnableIdempotence = true, LingerMs = 1, ReconnectBackoffMaxMs = 200, MessageTimeoutMs = 300_000,
        }).SetErrorHandler((_, _) => { }).SetLogHandler((_, _) => { }).Build();
        var next = 0;
        while (!stop.IsCancellationRequested)
        {
            var value = next++;
            try
            {
                producer.Produce("kill", new Message<Null, string> { Value = $"{value}" }, report =>
                {
                    if (report.Error.Code == ErrorCode.NoError)
                        acknowledged[value] = (report.Partition.Value, report.Offset.Value);
                });
            }
            catch (ProduceException<Null, string> error) when (error.Error.Code == ErrorCode.Local_QueueFull)
            {
                next--;
                producer.Poll(TimeSpan.FromMilliseconds(50));
            }
            if (next % 50 == 0)
                producer.Poll(TimeSpan.FromMilliseconds(1));
        }
        producer.Flush(TimeSpan.FromSeconds(60));
        return next;
    }

    private static Dictionary<(int Partition, long Offset), int> Read(int port, IEnumerable<int> partitions)
    {
        var found = new Dictionary<(int, long), int>();
        using var client = new WireClient(new IPEndPoint(IPAddress.Loopback, port));
        foreach (var partition in partitions)
        {
            long offset = 0;
            while (true)
            {
                var data = client.Fetch("kill", partition, offset);
                Assert.Equal(Kafka.Messages.ErrorCode.None, data.ErrorCode);
                if (offset >= data.HighWatermark)
                    break;
                var values = WireClient.Values(data.Records, offset);
                foreach (var value in values)
                    found[(partition, offset++)] = int.Parse(value, System.Globalization.CultureInfo.InvariantCulture);
            }
        }
        return found;
    }

    private static async Task Until(Func<bool> condition)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromSeconds(60), "nothing was acknowledged for 60 s");
            await Task.Delay(10);
        }
    }
}
