using System.Diagnostics;
using System.Globalization;
using Confluent.Kafka;
using Millrace.Kafka.Clients;

namespace Millrace.Bench.Log;

/// <summary>Producers side by side, each committing one transaction after another, through Confluent.Kafka.</summary>
internal static class TransactionLoad
{
    private const int RecordsEach = 100;

    /// <returns>Transactions a second that were committed.</returns>
    public static async Task<double> RunAsync(Contender contender, string topic, int producers, TimeSpan span, CancellationToken cancellation)
    {
        KafkaLibraries.EnsureReady();
        var value = new byte[100];
        new Random(1).NextBytes(value);
        using var ready = new CountdownEvent(producers);
        using var go = new ManualResetEventSlim();
        var clock = new Stopwatch();
        var done = 0L;
        var threads = Enumerable.Range(0, producers).Select(number => Task.Factory.StartNew(
            () =>
            {
                using var producer = new ProducerBuilder<byte[], byte[]>(new ProducerConfig
                {
                    BootstrapServers = contender.Brokers, TransactionalId = "bench-" + number.ToString(CultureInfo.InvariantCulture), LingerMs = 0.5,
                    TransactionTimeoutMs = 60_000,
                }).SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
                producer.InitTransactions(TimeSpan.FromSeconds(60));
                ready.Signal();
                go.Wait(cancellation);
                var key = BitConverter.GetBytes(number);
                while (clock.Elapsed < span && !cancellation.IsCancellationRequested)
                {
                    producer.BeginTransaction();
                    // One partition each: what is measured is the transaction, not how many partitions it touches.
                    for (var i = 0; i < RecordsEach; i++)
                        producer.Produce(new Confluent.Kafka.TopicPartition(topic, number % 6), new Message<byte[], byte[]> { Key = key, Value = value });
                    producer.CommitTransaction(TimeSpan.FromSeconds(60));
                    Interlocked.Increment(ref done);
                }
            },
            cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
        await Task.Run(() => ready.Wait(cancellation), cancellation);
        clock.Start();
        go.Set();
        await Task.WhenAll(threads);
        return Interlocked.Read(ref done) / clock.Elapsed.TotalSeconds;
    }
}
