using System.Collections.Concurrent;
using System.Net;
using Confluent.Kafka;
using Millrace.Bench.Running;
using Millrace.Kafka.Clients;
using Millrace.Tests.Log;
using Xunit.Abstractions;
using TopicPartition = Confluent.Kafka.TopicPartition;

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

    [Fact]
    public async Task A_transaction_is_there_whole_or_not_at_all_when_the_process_is_killed_again_and_again()
    {
        KafkaLibraries.EnsureReady();
        var folder = Directory.CreateTempSubdirectory("millrace-kill-").FullName;
        try
        {
            await using var platform = PlatformProcess.Create(folder);
            await platform.StartAsync(default);
            using (var client = new WireClient(new IPEndPoint(IPAddress.Loopback, platform.KafkaPort)))
                client.Call<Kafka.Messages.CreateTopicsRequest, Kafka.Messages.CreateTopicsResponse>(
                    Kafka.Messages.ApiKey.CreateTopics, 5, new() { TimeoutMs = 10_000, Topics = [new() { Name = "tx", NumPartitions = Partitions, ReplicationFactor = 1 }] });
            var outcomes = new ConcurrentDictionary<int, bool>();
            using var stop = new CancellationTokenSource();
            var producing = Task.Run(() => Transact(platform.Brokers, outcomes, stop.Token));
            var random = new Random(1);
            for (var kill = 0; kill < Kills; kill++)
            {
                var before = outcomes.Count;
                var more = random.Next(20, 200);
                await Until(() => outcomes.Count > before + more);
                await platform.KillAsync();
                await platform.StartAsync(default);
            }
            await stop.CancelAsync();
            await producing;
            var found = new List<int>();
            using (var client = new WireClient(new IPEndPoint(IPAddress.Loopback, platform.KafkaPort)))
            {
                for (var partition = 0; partition < Partitions; partition++)
                    found.AddRange(client.Committed("tx", partition).Select(v => int.Parse(v, System.Globalization.CultureInfo.InvariantCulture)));
            }
            var counts = found.GroupBy(v => v).ToDictionary(g => g.Key, g => g.Count());
            foreach (var (number, committed) in outcomes)
                Assert.Equal(committed ? PerTransaction : 0, counts.GetValueOrDefault(number));
            Assert.All(counts, c => Assert.Equal(PerTransaction, c.Value));
            output.WriteLine($"{outcomes.Values.Count(c => c)} committed, {outcomes.Values.Count(c => !c)} aborted, {counts.Count} found");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_process_that_is_stopped_and_goes_on_has_lost_and_doubled_nothing()
    {
        KafkaLibraries.EnsureReady();
        var folder = Directory.CreateTempSubdirectory("millrace-stop-").FullName;
        try
        {
            await using var platform = PlatformProcess.Create(folder);
            await platform.StartAsync(default);
            var acknowledged = new ConcurrentDictionary<int, (int Partition, long Offset)>();
            using var stop = new CancellationTokenSource();
            var producing = Task.Run(() => Produce(platform.Brokers, acknowledged, stop.Token, requestTimeoutMs: 1_000));
            for (var round = 0; round < 3; round++)
            {
                var before = acknowledged.Count;
                await Until(() => acknowledged.Count > before + 500);
                await Programs.RunAsync("kill", null, "-STOP", $"{platform.ProcessId}");
                // Longer than a client waits: it gives the connection up and sends again on another one, which nobody reads yet either.
                await Task.Delay(TimeSpan.FromSeconds(2.5));
                await Programs.RunAsync("kill", null, "-CONT", $"{platform.ProcessId}");
            }
            var last = acknowledged.Count;
            await Until(() => acknowledged.Count > last + 500);
            await stop.CancelAsync();
            var sent = await producing;
            Assert.Equal(sent, acknowledged.Count);
            var found = Read(platform.KafkaPort, acknowledged.Values.Select(v => v.Partition).Distinct());
            foreach (var (value, place) in acknowledged)
                Assert.True(found.TryGetValue(place, out var there) && there == value, $"record {value} was acknowledged at {place} and is not there");
            Assert.Equal(sent, found.Count);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private const int Partitions = 3;
    private const int PerTransaction = 6;

    /// <summary>Notes of each transaction whether it was told to be committed (true) or aborted (false); those of unknown end are not noted.</summary>
    private static void Transact(string brokers, ConcurrentDictionary<int, bool> outcomes, CancellationToken stop)
    {
        var patience = TimeSpan.FromSeconds(30);
        IProducer<Null, string>? producer = null;
        for (var number = 0; !stop.IsCancellationRequested; number++)
        {
            try
            {
                if (producer is null)
                {
                    producer = new ProducerBuilder<Null, string>(new ProducerConfig
                    {
                        BootstrapServers = brokers, TransactionalId = "killed", LingerMs = 1, ReconnectBackoffMaxMs = 200, TransactionTimeoutMs = 60_000,
                    }).SetErrorHandler((_, _) => { }).SetLogHandler((_, _) => { }).Build();
                    producer.InitTransactions(patience);
                }
                producer.BeginTransaction();
                for (var i = 0; i < PerTransaction; i++)
                    producer.Produce(new TopicPartition("tx", i % Partitions), new Message<Null, string> { Value = $"{number}" });
                if (number % 4 == 3)
                    producer.AbortTransaction(patience);
                else
                    producer.CommitTransaction(patience);
                outcomes[number] = number % 4 != 3;
            }
            catch (KafkaException)
            {
                // Its end is unknown. A new producer of the same id ends what it left behind.
                producer?.Dispose();
                producer = null;
            }
        }
        producer?.Dispose();
    }

    private static int Produce(string brokers, ConcurrentDictionary<int, (int, long)> acknowledged, CancellationToken stop, int requestTimeoutMs = 30_000)
    {
        using var producer = new ProducerBuilder<Null, string>(new ProducerConfig
        {
            BootstrapServers = brokers, EnableIdempotence = true, LingerMs = 1, ReconnectBackoffMaxMs = 200, MessageTimeoutMs = 300_000, SocketTimeoutMs = requestTimeoutMs,
            RequestTimeoutMs = requestTimeoutMs,
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
