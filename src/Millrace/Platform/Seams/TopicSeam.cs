using Millrace.Kafka.Clients;
using Millrace.Log;
using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Host.Platform.Seams;

/// <summary>The embedded broker for the console. Records are read by the ordinary client, so that they are decoded in one place.</summary>
internal sealed class TopicSeam(Broker broker, TimeProvider time, ClientLogins logins) : ITopics
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    public IReadOnlyList<TopicInfo> List() => [.. broker.Topics().Where(t => !t.IsInternal).Select(Describe)];

    public TopicInfo? Find(string name) => broker.Topic(name) is { } topic ? Describe(topic) : null;

    public Task<TopicInfo> CreateAsync(TopicRequest request, CancellationToken cancellation) => Task.Run(() =>
    {
        try
        {
            if (!broker.CreateTopic(request.Name, request.Partitions, request.Config))
                throw new ConsoleException(409, "Topic exists", $"a topic named '{request.Name}' is there", $"see: ./millrace topic show {request.Name}");
        }
        catch (ArgumentException wrong)
        {
            throw new ConsoleException(400, "Bad topic", wrong.Message);
        }
        return Find(request.Name) ?? throw new ConsoleException(409, "Topic gone", $"'{request.Name}' was deleted meanwhile");
    }, cancellation);

    public Task DeleteAsync(string name, CancellationToken cancellation) => Task.Run(() =>
    {
        if (!broker.DeleteTopic(name))
            throw new ConsoleException(404, "No such topic", $"there is no topic '{name}' that may be deleted");
    }, cancellation);

    public Task<IReadOnlyList<WebConsole.Seams.TopicRecord>> ReadAsync(
        string topic, int partition, long offset, int limit, CancellationToken cancellation) =>
        Task.Run(() => Read(topic, partition, offset, limit, cancellation), cancellation);

    public IReadOnlyList<WebConsole.Wire.GroupInfo> Groups() =>
    [
        .. broker.Groups().Select(g => new WebConsole.Wire.GroupInfo(
            g.Id, g.State.ToLowerInvariant(), g.Members, g.Partitions.Sum(p => p.Lag),
            [.. g.Partitions.Select(p => new GroupPartition(p.Topic, p.Partition, p.CommittedOffset < 0 ? null : p.CommittedOffset, p.EndOffset, p.Lag, p.Member))])),
    ];

    public IEnumerable<MetricFamily> Metrics()
    {
        var figures = broker.Metrics;
        yield return MetricFamily.Counter("millrace_log_records_total", "Records appended.", MetricSample.Of(figures.RecordsIn));
        yield return MetricFamily.Counter("millrace_log_in_bytes_total", "Bytes of record batches appended.", MetricSample.Of(figures.BytesIn));
        yield return MetricFamily.Counter("millrace_log_out_bytes_total", "Bytes of record batches fetched.", MetricSample.Of(figures.BytesOut));
        yield return MetricFamily.Counter("millrace_log_flushes_total", "Group commits.", MetricSample.Of(figures.Flushes));
        yield return MetricFamily.Counter("millrace_log_flush_seconds_total", "Time in group commits.", MetricSample.Of(figures.FlushTime.TotalSeconds));
        yield return MetricFamily.Gauge("millrace_log_connections", "Open client connections.", MetricSample.Of(figures.Connections));
        yield return MetricFamily.Counter(
            "millrace_log_requests_total", "Requests by kind.",
            [.. figures.Requests.OrderBy(r => r.Key).Select(r => MetricSample.Of(r.Value, ("api", r.Key.ToString())))]);
        var topics = broker.Topics();
        yield return MetricFamily.Gauge("millrace_log_topic_bytes", "Bytes on disk.", [.. topics.Select(t => MetricSample.Of(t.Bytes, ("topic", t.Name)))]);
        yield return MetricFamily.Counter(
            "millrace_log_topic_records_total", "Offsets given out: records, and markers of transactions.",
            [.. topics.Select(t => MetricSample.Of(t.Partitions.Sum(p => p.EndOffset), ("topic", t.Name)))]);
    }

    private static TopicInfo Describe(TopicDescription topic) => new(
        topic.Name, [.. topic.Partitions.Select(p => new WebConsole.Wire.TopicPartition(p.Index, p.LogStart, p.EndOffset, p.Bytes))], topic.Records,
        topic.Bytes, topic.Configs);

    private IReadOnlyList<WebConsole.Seams.TopicRecord> Read(string topic, int partition, long offset, int limit, CancellationToken cancellation)
    {
        var bounds = broker.Topic(topic)?.Partitions.FirstOrDefault(p => p.Index == partition)
            ?? throw new ConsoleException(404, "No such partition", $"topic '{topic}' has no partition {partition}");
        var start = Math.Clamp(offset < 0 ? bounds.EndOffset + offset : offset, bounds.LogStart, bounds.EndOffset);
        using var reader = new TopicReader(broker.BootstrapServers, Patience, time, logins.For(broker.BootstrapServers));
        return
        [
            .. reader.Read(topic, new Dictionary<int, long> { [partition] = start }, cancellation: cancellation).Take(limit).Select(r => new WebConsole.Seams.TopicRecord(
                r.Partition, r.Offset, DateTimeOffset.FromUnixTimeMilliseconds(r.TimestampMillis), r.Key, r.Value,
                [.. r.Headers.Select(h => KeyValuePair.Create(h.Key, (byte[]?)h.Value))])),
        ];
    }
}
