using System.Globalization;
using Millrace.Kafka.Messages;
using Millrace.Tests.Log;

namespace Millrace.Interop.Log;

/// <summary>kcat (librdkafka of the distribution) against the broker.</summary>
public sealed class KcatTests
{
    [ProgramTheory("kcat")]
    [InlineData("none")]
    [InlineData("gzip")]
    [InlineData("snappy")]
    [InlineData("lz4")]
    [InlineData("zstd")]
    public async Task Records_come_back_in_every_compression(string compression)
    {
        await using var test = await TestBroker.StartAsync();
        await Programs.KcatAsync(test.Broker.BootstrapServers, Programs.Sequence(2000, "some text that compresses "), "-P", "-t", "t", "-p", "0", "-z", compression);
        var lines = Programs.Lines(await Programs.KcatAsync(test.Broker.BootstrapServers, null, "-C", "-t", "t", "-p", "0", "-e", "-q"));
        Assert.Equal(Programs.Lines(Programs.Sequence(2000, "some text that compresses ")), lines);
        if (compression != "none")
            Assert.InRange(test.Broker.Metrics.BytesIn, 1, 40_000);
    }

    [ProgramFact("kcat")]
    public async Task Keys_headers_offsets_times_and_metadata_are_told()
    {
        await using var test = await TestBroker.StartAsync();
        var brokers = test.Broker.BootstrapServers;
        var before = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        await Programs.KcatAsync(brokers, "k1:v1\nk2:v2\n", "-P", "-t", "t", "-p", "1", "-K", ":", "-H", "h=x");
        Assert.Equal(
            ["k1|v1|0|h=x", "k2|v2|1|h=x"],
            Programs.Lines(await Programs.KcatAsync(brokers, null, "-C", "-t", "t", "-p", "1", "-e", "-q", "-f", "%k|%s|%o|%h\n")));
        Assert.Equal(["v2"], Programs.Lines(await Programs.KcatAsync(brokers, null, "-C", "-t", "t", "-p", "1", "-o", "1", "-e", "-q")));
        Assert.Equal(["v2"], Programs.Lines(await Programs.KcatAsync(brokers, null, "-C", "-t", "t", "-p", "1", "-o", "-1", "-e", "-q")));
        Assert.Equal(
            2, Programs.Lines(await Programs.KcatAsync(brokers, null, "-C", "-t", "t", "-p", "1", "-o", $"s@{before}", "-e", "-q")).Length);
        Assert.Contains("offset 0", await Programs.KcatAsync(brokers, null, "-Q", "-t", string.Create(CultureInfo.InvariantCulture, $"t:1:{before}")), StringComparison.Ordinal);
        Assert.Contains("topic \"t\" with 3 partitions", await Programs.KcatAsync(brokers, null, "-L"), StringComparison.Ordinal);
    }

    [ProgramFact("kcat")]
    public async Task A_group_goes_on_where_it_left_off_also_after_a_restart_of_the_broker()
    {
        var test = await TestBroker.StartAsync();
        // One partition: a group has no lag in one of which it has read nothing, and kcat leaves some empty.
        test.Broker.CreateTopic("t", 1);
        await Programs.KcatAsync(test.Broker.BootstrapServers, Programs.Sequence(1000), "-P", "-t", "t");
        var first = await Programs.KcatAsync(test.Broker.BootstrapServers, null, "-G", "g", "-X", "auto.offset.reset=earliest", "-e", "-q", "t");
        Assert.Equal(1000, Programs.Lines(first).Length);
        Assert.All(test.Broker.Lags(), lag => Assert.Equal(0, lag.Lag));
        await using var again = await test.RestartAsync();
        await Programs.KcatAsync(again.Broker.BootstrapServers, Programs.Sequence(50, "new "), "-P", "-t", "t");
        Assert.Equal(50, again.Broker.Lags().Sum(l => l.Lag));
        var second = await Programs.KcatAsync(again.Broker.BootstrapServers, null, "-G", "g", "-X", "auto.offset.reset=earliest", "-e", "-q", "t");
        Assert.Equal(Programs.Lines(Programs.Sequence(50, "new ")).Order(), Programs.Lines(second).Order());
    }

    [ProgramFact("kcat")]
    public async Task An_idempotent_producer_writes_each_record_once()
    {
        await using var test = await TestBroker.StartAsync();
        await Programs.KcatAsync(test.Broker.BootstrapServers, Programs.Sequence(5000), "-P", "-t", "t", "-X", "enable.idempotence=true", "-X", "batch.num.messages=50");
        var lines = Programs.Lines(await Programs.KcatAsync(test.Broker.BootstrapServers, null, "-C", "-t", "t", "-e", "-q"));
        Assert.Equal(5000, lines.Distinct().Count());
        Assert.Equal(5000, lines.Length);
    }

    [ProgramFact("kcat")]
    public async Task A_record_of_ten_megabytes_passes()
    {
        await using var test = await TestBroker.StartAsync();
        var large = new string('x', 10_000_000);
        await Programs.KcatAsync(test.Broker.BootstrapServers, large, "-P", "-t", "t", "-p", "0", "-X", "message.max.bytes=20000000", "-D", "\u0001");
        var back = await Programs.KcatAsync(test.Broker.BootstrapServers, null, "-C", "-t", "t", "-p", "0", "-e", "-q", "-X", "fetch.message.max.bytes=20000000");
        Assert.Equal(large.Length, back.TrimEnd('\n').Length);
    }

    [ProgramTheory("kcat")]
    [InlineData("range")]
    [InlineData("cooperative-sticky")]
    public async Task Members_share_partitions_and_take_over_from_one_that_leaves(string strategy)
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 6);
        var brokers = test.Broker.BootstrapServers;
        string[] arguments = ["-X", $"partition.assignment.strategy={strategy}", "-X", "heartbeat.interval.ms=200", "-X", "session.timeout.ms=6000"];
        await using var leaver = RunningKcat.Start(["-b", brokers, "-G", "g", "-q", "-u", .. arguments, "t"]);
        await using var stayer = RunningKcat.Start(["-b", brokers, "-G", "g", "-q", "-u", .. arguments, "t"]);
        var round = 0;
        async Task ProduceUntil(Func<bool> done)
        {
            var started = TimeProvider.System.GetTimestamp();
            using var client = test.Connect();
            while (!done())
            {
                Assert.True(TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromSeconds(60), "it did not come to pass in 60 s");
                for (var partition = 0; partition < 6; partition++)
                    client.Produce("t", partition, WireClient.Batch($"{partition}:{round}"));
                round++;
                await Task.Delay(20);
            }
        }
        await ProduceUntil(() => leaver.Partitions(0) == 3 && stayer.Partitions(0) == 3);
        await leaver.TerminateAsync();
        var from = round;
        await ProduceUntil(() => stayer.Partitions(from) == 6);
    }

    [ProgramFact("kcat")]
    public async Task A_static_member_comes_back_without_a_rebalance()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 2);
        using var client = test.Connect();
        var generations = new List<string>();
        for (var life = 0; life < 2; life++)
        {
            await using var member = RunningKcat.Start(["-b", test.Broker.BootstrapServers, "-G", "g", "-q", "-u", "-X", "group.instance.id=i1", "-X", "session.timeout.ms=30000", "t"]);
            var started = TimeProvider.System.GetTimestamp();
            for (var round = life * 1000; member.Partitions(life * 1000) < 2; round++)
            {
                Assert.True(TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromSeconds(60), "it did not come to pass in 60 s");
                client.Produce("t", 0, WireClient.Batch($"0:{round}"));
                client.Produce("t", 1, WireClient.Batch($"1:{round}"));
                await Task.Delay(20);
            }
            await member.KillAsync();
            var group = client.Call<DescribeGroupsRequest, DescribeGroupsResponse>(ApiKey.DescribeGroups, 5, new DescribeGroupsRequest { Groups = ["g"] }).Groups[0];
            Assert.Equal("Stable", group.GroupState);
            generations.Add(Assert.Single(group.Members).MemberId);
        }
        Assert.Equal(2, generations.Distinct().Count());
    }
}
