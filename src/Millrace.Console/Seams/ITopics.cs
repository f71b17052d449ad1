using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Seams;

/// <summary>The embedded broker, as the console sees it.</summary>
public interface ITopics
{
    IReadOnlyList<TopicInfo> List();

    TopicInfo? Find(string name);

    /// <exception cref="ConsoleException">The name is taken or not allowed.</exception>
    Task<TopicInfo> CreateAsync(TopicRequest request, CancellationToken cancellation);

    /// <exception cref="ConsoleException">No such topic.</exception>
    Task DeleteAsync(string name, CancellationToken cancellation);

    /// <summary>Records of one partition from an offset on; a negative offset counts back from the end.</summary>
    /// <exception cref="ConsoleException">No such topic or partition.</exception>
    Task<IReadOnlyList<TopicRecord>> ReadAsync(string topic, int partition, long offset, int limit, CancellationToken cancellation);

    IReadOnlyList<GroupInfo> Groups();

    /// <summary>The broker's own figures for <c>/metrics</c>.</summary>
    IEnumerable<MetricFamily> Metrics();
}

/// <summary>A record as stored. Key and value are null when the record says so.</summary>
public sealed record TopicRecord(
    int Partition, long Offset, DateTimeOffset Timestamp, byte[]? Key, byte[]? Value, IReadOnlyList<KeyValuePair<string, byte[]?>> Headers);
