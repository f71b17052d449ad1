using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Threading.Channels;
using Confluent.Kafka;
using Millrace.Kafka.Clients;

namespace Millrace.Host.Demo;

/// <param name="RecordsPerSecond">The pace, open loop: a record is due at its time whatever came before; 0 sends as fast as it can.</param>
/// <param name="Count">Records to send; <see cref="long.MaxValue"/> goes on until cancelled.</param>
/// <param name="SampleEvery">One acknowledged record of so many is noted with its partition, offset and time of sending; 0 for none.</param>
internal sealed record ReplayOptions(
    string Brokers, string Topic, int Partitions, double RecordsPerSecond, long Count, int SampleEvery = 0, double LingerMillis = 5,
    string Compression = "none", long FirstIndex = 0);

/// <param name="Micros">Microseconds since 1970 when the record was handed to the client.</param>
internal readonly record struct SendSample(int Partition, long Offset, long Micros);

/// <summary>Sends the records of a <see cref="RetailReplay"/> by an ordinary idempotent Kafka producer.</summary>
internal sealed class ReplayProducer(RetailReplay replay, ReplayOptions options)
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(2);
    private long _acknowledged;
    private long _sent;
    private string? _failure;

    public long Sent => Interlocked.Read(ref _sent);

    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    /// <summary>The first refusal that the producer could not mend by itself.</summary>
    public string? Failure => _failure;

    /// <summary>Sends until the count is reached or cancelled, then waits for what is under way.</summary>
    public async Task RunAsync(TimeProvider time, ChannelWriter<SendSample>? samples, CancellationToken cancellation)
    {
        KafkaLibraries.EnsureReady();
        var configuration = new ProducerConfig
        {
            BootstrapServers = options.Brokers,
            ClientId = "millrace-replay",
            EnableIdempotence = true,
            LingerMs = options.LingerMillis,
            CompressionType = Enum.Parse<CompressionType>(options.Compression, ignoreCase: true),
            QueueBufferingMaxMessages = 500_000,
            QueueBufferingMaxKbytes = 256 << 10,
            MessageTimeoutMs = 300_000,
            EnableDeliveryReports = true,
            DeliveryReportFields = "status",
        };
        // The defaults of librdkafka's metadata refresh are fine; its log lines are for nobody here.
        using var producer = new ProducerBuilder<Null, byte[]>(configuration).SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
        using var timer = new PeriodicTimer(Tick, time);
        var scratch = new ArrayBufferWriter<byte>(4096);
        var started = time.GetTimestamp();
        for (var index = options.FirstIndex; index < options.Count && !cancellation.IsCancellationRequested && _failure is null;)
        {
            var due = options.RecordsPerSecond > 0
                ? Math.Min(options.Count, options.FirstIndex + (long)(time.GetElapsedTime(started).TotalSeconds * options.RecordsPerSecond) + 1)
                : Math.Min(options.Count, index + 4096);
            for (; index < due && !cancellation.IsCancellationRequested; index++)
                Send(producer, index, scratch, samples, time);
            if (options.RecordsPerSecond > 0)
            {
                try
                {
                    await timer.WaitForNextTickAsync(cancellation);
                }
                catch (OperationCanceledException)
                {
                    break;
                }
            }
        }
        var patience = Stopwatch.StartNew();
        while (producer.Flush(TimeSpan.FromSeconds(1)) > 0 && patience.Elapsed < TimeSpan.FromMinutes(5))
        {
        }
    }

    private void Send(IProducer<Null, byte[]> producer, long index, ArrayBufferWriter<byte> scratch, ChannelWriter<SendSample>? samples, TimeProvider time)
    {
        scratch.ResetWrittenCount();
        replay.Write(index, scratch);
        var message = new Message<Null, byte[]> { Value = scratch.WrittenSpan.ToArray() };
        var partition = new Confluent.Kafka.TopicPartition(options.Topic, replay.PartitionOf(index, options.Partitions));
        var micros = options.SampleEvery > 0 && index % options.SampleEvery == 0
            ? (time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond
            : 0;
        Action<DeliveryReport<Null, byte[]>> report = micros == 0
            ? OnReport
            : delivered =>
            {
                OnReport(delivered);
                if (!delivered.Error.IsError)
                    samples?.TryWrite(new SendSample(delivered.Partition, delivered.Offset, micros));
            };
        while (true)
        {
            try
            {
                producer.Produce(partition, message, report);
                Interlocked.Increment(ref _sent);
                return;
            }
            catch (ProduceException<Null, byte[]> full) when (full.Error.Code == ErrorCode.Local_QueueFull)
            {
                producer.Poll(TimeSpan.FromMilliseconds(20));
            }
        }
    }

    private void OnReport(DeliveryReport<Null, byte[]> delivered)
    {
        if (delivered.Error.IsError)
            Interlocked.CompareExchange(ref _failure, string.Create(CultureInfo.InvariantCulture, $"{delivered.Error.Code}: {delivered.Error.Reason}"), null);
        else
            Interlocked.Increment(ref _acknowledged);
    }
}
