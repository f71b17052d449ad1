using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Security;
using Millrace.Log.Storage;
using Millrace.Log.Topics;
using Millrace.Storage.Files.Faults;

namespace Millrace.Tests.Log;

/// <summary>Topic settings do what they say, or are refused by name.</summary>
public sealed class TopicSettingTests
{
    [Fact]
    public async Task Records_too_old_or_too_far_ahead_are_refused_where_the_topic_says_so()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1, new Dictionary<string, string>
        {
            ["message.timestamp.before.max.ms"] = "3600000", ["message.timestamp.after.max.ms"] = "60000",
        });
        test.Broker.CreateTopic("ours", 1, new Dictionary<string, string>
        {
            ["message.timestamp.type"] = "LogAppendTime", ["message.timestamp.before.max.ms"] = "3600000",
        });
        using var client = test.Connect();
        var now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        Assert.Equal(ErrorCode.None, client.Produce("t", 0, Batch(now, now - 3_500_000, now + 50_000)).ErrorCode);
        var old = client.Produce("t", 0, Batch(now, now - 3_700_000));
        Assert.Equal(ErrorCode.InvalidTimestamp, old.ErrorCode);
        Assert.Contains("message.timestamp.before.max.ms", old.ErrorMessage, StringComparison.Ordinal);
        var ahead = client.Produce("t", 0, Batch(now + 120_000));
        Assert.Equal(ErrorCode.InvalidTimestamp, ahead.ErrorCode);
        Assert.Contains("message.timestamp.after.max.ms", ahead.ErrorMessage, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.None, client.Produce("ours", 0, Batch(5)).ErrorCode);
        var read = client.Fetch("ours", 0, 0).Records;
        Assert.True(new RecordBatch(read.Span) is { MaxTimestamp: var time, LeaderEpoch: 0 } && time >= now);
    }

    [Fact]
    public void A_segment_gives_way_when_its_first_record_is_old_enough_in_any_topic()
    {
        using var store = LogWorkload.Open(new SimulatedFileSystem(1));
        var (topic, _) = store.Create("t", 1, new Dictionary<string, string> { ["segment.ms"] = "60000", ["retention.ms"] = "-1" });
        var partition = topic.Partitions[0];
        partition.Append(Batch(1000), 1000, Marker.None, null, 0);
        store.Committer.RunCycle();
        store.Maintain(61_000, 61_000, 1_000_000);
        Assert.Single(partition.Segments.All);
        store.Maintain(61_001, 61_001, 1_000_000);
        Assert.Equal([0L, 1L], partition.Segments.All.Select(s => s.BaseOffset));
    }

    [Theory]
    [InlineData("unclean.leader.election.enable", "false", "true")]
    [InlineData("preallocate", "false", "true")]
    [InlineData("min.insync.replicas", "1", "2")]
    [InlineData("compression.type", "producer", "zstd")]
    [InlineData("file.delete.delay.ms", "0", "60000")]
    [InlineData("index.interval.bytes", "65536", "4096")]
    [InlineData("segment.index.bytes", "10485760", "1000")]
    public void What_cannot_be_another_way_is_refused_by_name(string name, string value, string other)
    {
        Assert.Null(TopicSettings.Check(new Dictionary<string, string> { [name] = value }));
        var wrong = TopicSettings.Check(new Dictionary<string, string> { [name] = other });
        Assert.Contains($"{name} is always {value} here", wrong, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_answer_tells_a_client_over_its_quota_how_long_it_waits()
    {
        await using var test = await TestBroker.StartAsync(o => o with { Quotas = [new ClientQuota(null, "test", QuotaKind.Requests, 20)] });
        using var client = test.Connect();
        var waits = new List<int>();
        for (var i = 0; i < 30; i++)
        {
            waits.Add(client.Call<HeartbeatRequest, HeartbeatResponse>(ApiKey.Heartbeat, 4, new HeartbeatRequest { GroupId = "g", MemberId = "m" }).ThrottleTimeMs);
            waits.Add(client.Call<FindCoordinatorRequest, FindCoordinatorResponse>(ApiKey.FindCoordinator, 3, new FindCoordinatorRequest { Key = "g" }).ThrottleTimeMs);
        }
        Assert.Equal(0, waits[0]);
        Assert.Contains(waits.Where((_, i) => i % 2 == 0), w => w > 0);
        Assert.Contains(waits.Where((_, i) => i % 2 == 1), w => w > 0);
    }

    private static byte[] Batch(params long[] times)
    {
        using var builder = new RecordBatchBuilder();
        foreach (var time in times)
            builder.Add(time, default, "x"u8, hasValue: true);
        return builder.Build();
    }
}
