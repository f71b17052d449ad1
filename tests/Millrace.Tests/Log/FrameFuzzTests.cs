using System.Buffers.Binary;
using System.Globalization;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Security;
using Xunit.Abstractions;

namespace Millrace.Tests.Log;

/// <summary>
/// Whole frames of every request and version, damaged, sent to a running broker: each is answered, or its connection ends with a reason, or it waits for what
/// it asks for and is forgotten with its connection. A few thousand in the fast tests; `--long` makes it a million, and 200,000 by the rules of ACLs.
/// </summary>
public sealed class FrameFuzzTests(ITestOutputHelper output)
{
    private const int Senders = 4;

    /// <summary>What the broker may keep of a million frames: groups, transactional ids, users, metrics, and what the runtime holds back.</summary>
    private const long MostKept = 256 << 20;

    [Theory]
    [InlineData(false, 3_000, 1_000_000)]
    [InlineData(true, 1_500, 200_000)]
    public async Task No_frame_makes_the_broker_fail_hang_or_grow(bool guarded, int quick, int @long)
    {
        var seed = Seeds.Next(output);
        var rounds = Seeds.Rounds(quick, @long) / Senders;
        await using var test = await TestBroker.StartAsync(o => o with
        {
            MaintenanceInterval = TimeSpan.FromMilliseconds(100), MaxPartitions = 100, FrameTimeout = TimeSpan.FromSeconds(2), MaxConnections = 500,
            // Everyone is ANONYMOUS and may do what no rule forbids: each request goes by the rules, and makes some.
            Security = guarded ? new BrokerSecurity { AllowWithoutAcl = true } : null,
        });
        // The golden messages name s1, s2 ...
        foreach (var name in new[] { "t", "s1", "s2", "s4", "s6", "s7", "s9" })
            test.Broker.CreateTopic(name, 2, new Dictionary<string, string> { ["retention.ms"] = "-1" });
        using var honest = test.Connect();
        honest.Produce("t", 0, WireClient.Batch("before"));
        var seedlings = Seedlings();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var told = await Task.WhenAll(Enumerable.Range(0, Senders).Select(n => Task.Run(() => Send(test, seedlings, new Random(seed + n), rounds))));
        output.WriteLine(
            $"{told.Sum(t => t.Answered)} answered, {told.Sum(t => t.Closed)} ended their connection, {told.Sum(t => t.Waiting)} waited; {test.Broker.Metrics.Requests.Count} kinds of requests read");
        Assert.True(told.Sum(t => t.Answered) > rounds, "most frames are answered");
        var end = honest.Produce("t", 0, WireClient.Batch("after"));
        Assert.Equal(ErrorCode.None, end.ErrorCode);
        Assert.Equal(["after"], WireClient.Values(honest.Fetch("t", 0, end.BaseOffset).Records, end.BaseOffset));
        var faults = test.Lines.Where(l => l.StartsWith("Error", StringComparison.Ordinal)).ToList();
        Assert.True(faults.Count == 0, $"{faults.Count} faults:\n{string.Join('\n', faults.Take(5))}");
        Assert.Null(test.Broker.Fault);
        await Gone(test);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, MostKept);
        // What they have left behind is read back.
        await using var again = await test.RestartAsync();
        using var reader = again.Connect();
        var read = reader.Fetch("t", 0, end.BaseOffset);
        Assert.Equal(ErrorCode.None, read.ErrorCode);
        Assert.Equal(["after"], WireClient.Values(read.Records, end.BaseOffset));
    }

    private static (int Answered, int Closed, int Waiting) Send(TestBroker test, List<byte[]> seedlings, Random random, int rounds)
    {
        var (answered, closed, waiting) = (0, 0, 0);
        WireClient? client = null;
        for (var round = 0; round < rounds; round++)
        {
            client ??= test.Connect();
            var frame = Damage(random, seedlings[random.Next(seedlings.Count)]);
            var outcome = client.Try(frame, waitMillis: 50);
            if (outcome == FrameOutcome.Answered)
            {
                answered++;
                continue;
            }
            (closed, waiting) = outcome == FrameOutcome.Closed ? (closed + 1, waiting) : (closed, waiting + 1);
            client.Dispose();
            client = null;
        }
        client?.Dispose();
        return (answered, closed, waiting);
    }

    /// <summary>One valid frame of each request and version, with Apache Kafka's bytes, and some that reach further than those: batches, members, transactions.</summary>
    private static List<byte[]> Seedlings()
    {
        var frames = new List<byte[]>();
        foreach (var line in File.ReadLines(Path.Combine(Repository.Root, "tests/Millrace.Tests/Kafka/Golden/messages.txt")))
        {
            var parts = line.Split(' ');
            var (key, version) = ((ApiKey)short.Parse(parts[0], CultureInfo.InvariantCulture), short.Parse(parts[1], CultureInfo.InvariantCulture));
            if (parts[2] == "q")
                frames.Add(Frame(key, version, Convert.FromHexString(parts[3])));
        }
        for (short version = 3; version <= 11; version++)
            frames.Add(WireClient.Frame(ApiKey.Produce, version, 1, WireClient.Request("t", 1, WireClient.Batch("a", "b"), -1)));
        frames.Add(WireClient.Frame(ApiKey.Produce, 9, 1, WireClient.Request("t", 1, WireClient.Batch(3, 0, 0, "a"), -1)));
        using var packed = new RecordBatchBuilder { Compression = CompressionType.Lz4 };
        packed.Add(1, "k"u8, "v"u8);
        frames.Add(WireClient.Frame(ApiKey.Produce, 9, 1, WireClient.Request("s4", 1, packed.Build(), 1)));
        for (short version = 4; version <= 12; version++)
            frames.Add(WireClient.Frame(ApiKey.Fetch, version, 1, WireClient.FetchOf("t", 0, 0, 0, 1, 1000, isolation: 1)));
        frames.Add(WireClient.Frame(ApiKey.ListOffsets, 7, 1, new ListOffsetsRequest { Topics = [new() { Name = "t", Partitions = [new() { Timestamp = 1000 }] }] }));
        frames.Add(WireClient.Frame(ApiKey.InitProducerId, 4, 1, new InitProducerIdRequest { TransactionalId = "s1", TransactionTimeoutMs = 1000 }));
        frames.Add(WireClient.Frame(ApiKey.ConsumerGroupHeartbeat, 1, 1, new ConsumerGroupHeartbeatRequest
        {
            GroupId = "c", MemberId = "m", RebalanceTimeoutMs = 1000, SubscribedTopicNames = ["t"], SubscribedTopicRegex = "s.*", TopicPartitions = [],
        }));
        frames.Add(WireClient.Frame(ApiKey.OffsetCommit, 9, 1, new OffsetCommitRequest
        {
            GroupId = "s2", GenerationIdOrMemberEpoch = -1, Topics = [new() { Name = "t", Partitions = [new() { CommittedOffset = 1 }] }],
        }));
        return frames;
    }

    private static byte[] Frame(ApiKey key, short version, byte[] body)
    {
        var flexible = ApiVersionTable.Find(key)!.IsFlexible(version);
        // Length, key, version, correlation id, client id "f", and the tags that flexible headers end with.
        var header = new byte[flexible ? 16 : 15];
        BinaryPrimitives.WriteInt32BigEndian(header, header.Length - 4 + body.Length);
        BinaryPrimitives.WriteInt16BigEndian(header.AsSpan(4), (short)key);
        BinaryPrimitives.WriteInt16BigEndian(header.AsSpan(6), version);
        BinaryPrimitives.WriteInt16BigEndian(header.AsSpan(12), 1);
        header[14] = (byte)'f';
        return [.. header, .. body];
    }

    private static byte[] Damage(Random random, byte[] seedling)
    {
        var bytes = seedling.ToList();
        for (var n = random.Next(4); n > 0; n--)
        {
            // Rarely in the header, whose key and version most damage would make unknown.
            var at = random.Next(random.Next(20) == 0 ? 4 : Math.Min(15, bytes.Count - 1), bytes.Count);
            switch (random.Next(5))
            {
                case 0:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 8), bytes.Count - at));
                    break;
                case 1:
                    bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(1, 30), bytes.Count - at)));
                    break;
                case 2:
                    bytes[at] = (byte)(random.Next(2) == 0 ? 0xFF : 0x7F);
                    break;
                case 3:
                    bytes[at] = (byte)random.Next(4);
                    break;
                default:
                    bytes[at] = (byte)random.Next(256);
                    break;
            }
            while (bytes.Count < 16)
                bytes.Add(0);
        }
        byte[] frame = [.. bytes];
        var length = random.Next(200) == 0 ? random.Next(-5, 1 << 20) : frame.Length - 4;
        BinaryPrimitives.WriteInt32BigEndian(frame, length);
        return frame;
    }

    private static async Task Gone(TestBroker test)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (test.Broker.Metrics.Connections > 1)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(60), $"{test.Broker.Metrics.Connections} connections are left");
            await Task.Delay(20);
        }
    }
}
