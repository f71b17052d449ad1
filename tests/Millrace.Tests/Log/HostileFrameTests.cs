using System.Buffers.Binary;
using Millrace.Kafka.Messages;
using Millrace.Log;
using Xunit.Abstractions;

namespace Millrace.Tests.Log;

/// <summary>Bytes that no honest client sends: their connection ends with a reason, everyone else goes on.</summary>
public sealed class HostileFrameTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("7fffffff", "MaxFrameBytes")]
    [InlineData("ffffffff", "MaxFrameBytes")]
    [InlineData("00000000", "MaxFrameBytes")]
    [InlineData("0000000a03e7000000000001ffff", "key 999")]
    [InlineData("0000000b0000004d00000001ffff00", "version 77")]
    [InlineData("0000000a0000000300000001ffff", "left in the frame")]
    [InlineData("0000000c00030001000000010064aabb", "left in the frame")]
    [InlineData("474554202f20485454502f312e310d0a", "MaxFrameBytes")]
    [InlineData("1603010200010001fc0303", "MaxFrameBytes")]
    public async Task A_hostile_frame_ends_its_connection_with_a_reason(string hex, string reason)
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var other = test.Connect();
        using var hostile = test.Connect();
        hostile.SendRaw(Convert.FromHexString(hex));
        Assert.Null(hostile.ReceiveFrame());
        Assert.Contains(reason, await test.Line("Closed the connection"), StringComparison.Ordinal);
        Assert.Equal(ErrorCode.None, other.Produce("t", 0, WireClient.Batch("x")).ErrorCode);
    }

    [Fact]
    public async Task A_wrong_checksum_is_answered_and_then_ends_the_connection()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var hostile = test.Connect();
        var batch = WireClient.Batch("x");
        batch[^1] ^= 1;
        Assert.Equal(ErrorCode.CorruptMessage, hostile.Produce("t", 0, batch).ErrorCode);
        Assert.Null(hostile.ReceiveFrame());
        Assert.Contains("CRC is wrong", await test.Line("Closed the connection"), StringComparison.Ordinal);
        Assert.Equal(0, test.Broker.Topic("t")!.Partitions[0].EndOffset);
    }

    [Fact]
    public async Task Half_a_frame_ends_with_its_connection()
    {
        await using var test = await TestBroker.StartAsync();
        using (var hostile = test.Connect())
            hostile.SendRaw([0, 0, 1, 0, 0, 3, 0, 1]);
        Assert.Contains("ended after 4 of a request's 256 bytes", await test.Line("Closed the connection"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_frame_that_stops_in_the_middle_is_given_up()
    {
        await using var test = await TestBroker.StartAsync(o => o with { FrameTimeout = TimeSpan.FromMilliseconds(50) });
        using var hostile = test.Connect();
        hostile.SendRaw([0, 0, 1, 0, 0, 3]);
        Assert.Null(hostile.ReceiveFrame());
        Assert.Contains("FrameTimeout", await test.Line("Closed the connection"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Many_who_claim_large_frames_hold_little_memory_and_nobody_up_for_long()
    {
        await using var test = await TestBroker.StartAsync(o => o with { FrameTimeout = TimeSpan.FromMilliseconds(300), MaxRequestBytes = 150 << 20 });
        test.Broker.CreateTopic("t", 1);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var hostile = new List<WireClient>();
        for (var i = 0; i < 100; i++)
        {
            hostile.Add(test.Connect());
            hostile[i].SendRaw([0x06, 0x00, 0x00, 0x00, 0, 0]);
        }
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: false) - before, long.MinValue, 150 << 20);
        // Those who only claim are given up one after another; an honest request in between is served.
        using var honest = test.Connect();
        Assert.Equal(ErrorCode.None, honest.Produce("t", 0, WireClient.Batch("x")).ErrorCode);
        hostile.ForEach(h => h.Dispose());
    }

    [Fact]
    public async Task Random_bytes_and_damaged_requests_never_disturb_others()
    {
        var random = new Random(Seeds.Next(output));
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var honest = test.Connect();
        var rounds = Environment.GetEnvironmentVariable("MILLRACE_LONG") is null ? 150 : 20_000;
        for (var round = 0; round < rounds; round++)
        {
            using var hostile = test.Connect();
            byte[] frame;
            if (round % 3 == 0)
            {
                frame = new byte[random.Next(8, 200)];
                random.NextBytes(frame);
                BinaryPrimitives.WriteInt32BigEndian(frame, frame.Length - 4);
            }
            else
            {
                frame = round % 3 == 1
                    ? WireClient.Frame(ApiKey.Produce, 9, 1, WireClient.Request("t", 0, WireClient.Batch("a", "b"), 1))
                    : WireClient.Frame(ApiKey.Fetch, 12, 1, WireClient.FetchOf("t", 0, 0, 1, 1, 1000));
                for (var i = 0; i < 3; i++)
                    frame[random.Next(4, frame.Length)] = (byte)random.Next(256);
            }
            hostile.SendRaw(frame);
        }
        Assert.Equal(ErrorCode.None, honest.Produce("t", 0, WireClient.Batch("x")).ErrorCode);
        Assert.DoesNotContain(test.Lines, l => l.Contains("fault of the broker", StringComparison.Ordinal));
    }
}
