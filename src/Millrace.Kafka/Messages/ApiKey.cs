namespace Millrace.Kafka.Messages;

/// <summary>The requests of Kafka's protocol that Millrace knows, by their number on the wire.</summary>
public enum ApiKey : short
{
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DescribeGroups = 15,
    ListGroups = 16,
    SaslHandshake = 17,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    DeleteRecords = 21,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    WriteTxnMarkers = 27,
    TxnOffsetCommit = 28,
    DescribeAcls = 29,
    CreateAcls = 30,
    DeleteAcls = 31,
    DescribeConfigs = 32,
    AlterConfigs = 33,
    DescribeLogDirs = 35,
    SaslAuthenticate = 36,
    CreatePartitions = 37,
    DeleteGroups = 42,
    IncrementalAlterConfigs = 44,
    OffsetDelete = 47,
    DescribeClientQuotas = 48,
    AlterClientQuotas = 49,
    DescribeUserScramCredentials = 50,
    AlterUserScramCredentials = 51,
    DescribeCluster = 60,
    DescribeProducers = 61,
    DescribeTransactions = 65,
    ListTransactions = 66,
    ConsumerGroupHeartbeat = 68,
    ConsumerGroupDescribe = 69,
}

/// <summary>The versions of one request and the first that is flexible (KIP-482).</summary>
/// <param name="Key">The request.</param>
/// <param name="Min">The lowest version that is advertised.</param>
/// <param name="Max">The highest version that is advertised.</param>
/// <param name="FlexibleFrom">The first flexible version; <see cref="Never"/> where there is none.</param>
/// <param name="ServedFrom">The lowest version that is really served: Produce 0 to 2 are advertised only so that librdkafka before 2.11.1 compresses (KAFKA-18659).</param>
public sealed record ApiVersionRange(ApiKey Key, short Min, short Max, short FlexibleFrom, short ServedFrom)
{
    /// <summary>Of requests that have no flexible version.</summary>
    public const short Never = short.MaxValue;

    public bool IsFlexible(short version) => version >= FlexibleFrom;

    public bool Serves(short version) => version >= ServedFrom && version <= Max;
}

/// <summary>Every request that is known, with its versions as in Kafka's message definitions.</summary>
public static class ApiVersionTable
{
    private static readonly Dictionary<ApiKey, ApiVersionRange> ByKey = Rows().ToDictionary(r => r.Key);

    public static IReadOnlyCollection<ApiVersionRange> All => ByKey.Values;

    public static ApiVersionRange? Find(ApiKey key) => ByKey.GetValueOrDefault(key);

    private static IEnumerable<ApiVersionRange> Rows()
    {
        yield return new(ApiKey.Produce, 0, 11, 9, 3);
        yield return Row(ApiKey.Fetch, 4, 12, 12);
        yield return Row(ApiKey.ListOffsets, 1, 7, 6);
        yield return Row(ApiKey.Metadata, 0, 12, 9);
        yield return Row(ApiKey.OffsetCommit, 2, 9, 8);
        yield return Row(ApiKey.OffsetFetch, 1, 9, 6);
        yield return Row(ApiKey.FindCoordinator, 0, 4, 3);
        yield return Row(ApiKey.JoinGroup, 0, 9, 6);
        yield return Row(ApiKey.Heartbeat, 0, 4, 4);
        yield return Row(ApiKey.LeaveGroup, 0, 5, 4);
        yield return Row(ApiKey.SyncGroup, 0, 5, 4);
        yield return Row(ApiKey.DescribeGroups, 0, 5, 5);
        yield return Row(ApiKey.ListGroups, 0, 5, 3);
        yield return Row(ApiKey.SaslHandshake, 0, 1, ApiVersionRange.Never);
        yield return Row(ApiKey.ApiVersions, 0, 4, 3);
        yield return Row(ApiKey.CreateTopics, 2, 7, 5);
        yield return Row(ApiKey.DeleteTopics, 1, 6, 4);
        yield return Row(ApiKey.DeleteRecords, 0, 2, 2);
        yield return Row(ApiKey.InitProducerId, 0, 4, 2);
        yield return Row(ApiKey.OffsetForLeaderEpoch, 2, 4, 4);
        yield return Row(ApiKey.AddPartitionsToTxn, 0, 3, 3);
        yield return Row(ApiKey.AddOffsetsToTxn, 0, 3, 3);
        yield return Row(ApiKey.EndTxn, 0, 3, 3);
        yield return Row(ApiKey.WriteTxnMarkers, 1, 1, 1);
        yield return Row(ApiKey.TxnOffsetCommit, 0, 3, 3);
        yield return Row(ApiKey.DescribeAcls, 1, 3, 2);
        yield return Row(ApiKey.CreateAcls, 1, 3, 2);
        yield return Row(ApiKey.DeleteAcls, 1, 3, 2);
        yield return Row(ApiKey.DescribeConfigs, 1, 4, 4);
        yield return Row(ApiKey.AlterConfigs, 0, 2, 2);
        yield return Row(ApiKey.DescribeLogDirs, 1, 4, 2);
        yield return Row(ApiKey.SaslAuthenticate, 0, 2, 2);
        yield return Row(ApiKey.CreatePartitions, 0, 3, 2);
        yield return Row(ApiKey.DeleteGroups, 0, 2, 2);
        yield return Row(ApiKey.IncrementalAlterConfigs, 0, 1, 1);
        yield return Row(ApiKey.OffsetDelete, 0, 0, ApiVersionRange.Never);
        yield return Row(ApiKey.DescribeClientQuotas, 0, 1, 1);
        yield return Row(ApiKey.AlterClientQuotas, 0, 1, 1);
        yield return Row(ApiKey.DescribeUserScramCredentials, 0, 0, 0);
        yield return Row(ApiKey.AlterUserScramCredentials, 0, 0, 0);
        yield return Row(ApiKey.DescribeCluster, 0, 1, 0);
        yield return Row(ApiKey.DescribeProducers, 0, 0, 0);
        yield return Row(ApiKey.DescribeTransactions, 0, 0, 0);
        yield return Row(ApiKey.ListTransactions, 0, 1, 0);
        yield return Row(ApiKey.ConsumerGroupHeartbeat, 0, 1, 0);
        yield return Row(ApiKey.ConsumerGroupDescribe, 0, 1, 0);
    }

    private static ApiVersionRange Row(ApiKey key, short min, short max, short flexibleFrom) => new(key, min, max, flexibleFrom, min);
}
