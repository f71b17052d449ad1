using System.ComponentModel;

namespace Millrace.WebConsole.Wire;

public sealed record TopicList(IReadOnlyList<TopicInfo> Topics);

public sealed record TopicInfo(
    string Name, IReadOnlyList<TopicPartition> Partitions, [property: Description("records between start and end offsets")] long Records,
    long Bytes, IReadOnlyDictionary<string, string> Config);

public sealed record TopicPartition(int Partition, long StartOffset, long EndOffset, long Bytes);

public sealed record TopicRequest(
    string Name, int Partitions = 1, IReadOnlyDictionary<string, string>? Config = null);

public sealed record RecordPage(
    string Topic, int Partition, long StartOffset, long EndOffset, IReadOnlyList<RecordInfo> Records);

public sealed record RecordInfo(
    long Offset, DateTimeOffset Timestamp, string? Key,
    [property: Description("UTF-8 text, or base64 when the bytes are not text")] string? Value,
    [property: Description("null, text or base64")] string Encoding,
    int Bytes,
    [property: Description("the value was longer than the console shows")] bool Cut,
    IReadOnlyDictionary<string, string?> Headers);

public sealed record GroupList(IReadOnlyList<GroupInfo> Groups);

public sealed record GroupInfo(
    string Id, string State, int Members, [property: Description("sum over partitions")] long Lag, IReadOnlyList<GroupPartition> Partitions);

public sealed record GroupPartition(
    string Topic, int Partition, [property: Description("null when nothing was committed")] long? Committed, long EndOffset, long Lag, string? Member);
