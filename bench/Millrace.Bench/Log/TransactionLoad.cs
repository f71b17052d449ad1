using System.Diagnostics;
using System.Globalization;
using Confluent.Kafka;
using Millrace.Kafka.Clients;

namespace Millrace.Bench.Log;

/// <summary>Producers side by side, each committing one transaction after another.</summary>
internal static class TransactionLoad
{
    private const int RecordsEach = 100;

    private static readonly byte[] Value = MakeValue();

    /// <summary>Through bare requests, so that the machine is the broker's.</summary>
    /// <returns>Transactions a second that were committed.</returns>
    public static Task<double> RunAsync(Contender contender, string topic, int producers, TimeSpan span, CancellationToken cancellation) =>
        MeasureAsync(
            producers, span,
            number =>
            {
                // One partition each: what is measured is the transaction, not how many partitions it touches.
                var producer = new TransactionalProducer(contender.Brokers, topic, number % 6, number, RecordsEach);
                producer.Begin(Value);
                return (producer, producer.Commit);
            },
            cancellation);

    /// <summary>Through Confluent.Kafka.</summary>
    /// <returns>Transactions a second that were committed.</returns>
    public static Task<double> RunConfluentAsync(Contender contender, string topic, int producers, TimeSpan span, CancellationToken cancellation)
    {
        KafkaLibraries.EnsureReady();
        return MeasureAsync(
            producers, span,
            number =>
            {
                var producer = new ProducerBuilder<byte[], byte[]>(new ProducerConfig
                {
                    BootstrapServers = contender.Brokers, TransactionalId = "bench-" + number.ToString(CultureInfo.InvariantCulture), LingerMs = 0.5,
                    TransactionTimeoutMs = 60_000,
                }).SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
                producer.InitTransactions(TimeSpan.FromSeconds(60));
                var key = BitConverter.GetBytes(number);
                void Commit()
                {
                    producer.BeginTransaction();
                    for (var i = 0; i < RecordsEach; i++)
                        producer.Produce(new Confluent.Kafka.TopicPartition(topic, number % 6), new Message<byte[], byte[]> { Key = key, Value = Value });
                    producer.CommitTransaction(TimeSpan.FromSeconds(60));
                }
                return (producer, Commit);
            },
            cancellation);
    }

    private static async Task<double> MeasureAsync(
        int producers, TimeSpan span, Func<int, (IDisposable Producer, Action Commit)> begin, CancellationToken cancellation)
    {
        using var ready = new CountdownEvent(producers);
        using var go = new ManualResetEventSlim();
        var clock = new Stopwatch();
        var done = 0L;
        var threads = Enumerable.Range(0, producers).Select(number => Task.Factory.StartNew(
            () =>
            {
                var (producer, commit) = begin(number);
                using var held = producer;
                ready.Signal();
                go.Wait(cancellation);
                while (clock.Elapsed < span && !cancellation.IsCancellationRequested)
                {
                    commit();
                    Interlocked.Increment(ref done);
                }
            },
            cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
        await Task.WhenAny(Task.Run(() => ready.Wait(cancellation), cancellation), Task.WhenAll(threads));
        clock.Start();
        go.Set();
        await Task.WhenAll(threads);
        return Interlocked.Read(ref done) / clock.Elapsed.TotalSeconds;
    }

    private static byte[] MakeValue()
    {
        var value = new byte[100];
        new Random(1).NextBytes(value);
        return value;
    }
}
