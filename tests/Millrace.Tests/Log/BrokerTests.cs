using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log;
using Millrace.Storage.Files;

namespace Millrace.Tests.Log;

/// <summary>The broker over loopback, by bare requests.</summary>
public sealed class BrokerTests
{
    [Fact]
    public async Task What_is_produced_is_fetched_and_is_still_there_after_a_restart()
    {
        var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 2);
        using (var client = test.Connect())
        {
            Assert.Equal((ErrorCode.None, 0L), Outcome(client.Produce("t", 1, WireClient.Batch("a", "b"))));
            Assert.Equal((ErrorCode.None, 2L), Outcome(client.Produce("t", 1, WireClient.Batch("c"))));
            Assert.Equal(["a", "b", "c"], WireClient.Values(client.Fetch("t", 1, 0).Records));
        }
        await using var again = await test.RestartAsync();
        using var second = again.Connect();
        Assert.Equal(["a", "b", "c"], WireClient.Values(second.Fetch("t", 1, 1).Records));
        Assert.Equal((ErrorCode.None, 3L), Outcome(second.Produce("t", 1, WireClient.Batch("d"))));
        var topic = again.Broker.Topic("t")!;
        Assert.Equal((4L, 4L), (topic.Partitions[1].EndOffset, topic.Records));
        Assert.Null(again.Broker.Topic("none"));
    }

    [Fact]
    public async Task A_fetch_waits_until_a_record_comes_and_only_its_own_connection_waits()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var reader = test.Connect();
        using var writer = test.Connect();
        var waiting = reader.Send(ApiKey.Fetch, 11, WireClient.FetchOf("t", 0, 0, 20_000, 1, 1 << 20));
        Assert.Equal(ErrorCode.None, writer.Produce("t", 0, WireClient.Batch("now")).ErrorCode);
        var response = reader.Receive<FetchResponse>(ApiKey.Fetch, 11, waiting);
        Assert.Equal(["now"], WireClient.Values(response.Responses[0].Partitions[0].Records));
        // More than there is: the patience ends the wait, and what there is comes.
        Assert.Equal(["now"], WireClient.Values(reader.Fetch("t", 0, 0, maxWait: 20, minBytes: 100_000).Records));
        Assert.Empty(WireClient.Values(reader.Fetch("t", 0, 1, maxWait: 20).Records));
    }

    [Fact]
    public async Task Answers_come_in_the_order_of_requests_though_appends_overlap()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 4);
        using var client = test.Connect();
        var sent = new List<int>();
        for (var i = 0; i < 200; i++)
            sent.Add(client.Send(ApiKey.Produce, 9, WireClient.Request("t", i % 4, WireClient.Batch($"{i}"), -1)));
        foreach (var correlation in sent)
            Assert.Equal(ErrorCode.None, client.Receive<ProduceResponse>(ApiKey.Produce, 9, correlation).Responses[0].PartitionResponses[0].ErrorCode);
        Assert.Equal(Enumerable.Range(0, 50).Select(i => $"{i * 4}"), WireClient.Values(client.Fetch("t", 0, 0).Records));
    }

    [Fact]
    public async Task Every_version_of_produce_and_fetch_that_is_served_works()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        for (short version = 3; version <= 11; version++)
            Assert.Equal((ErrorCode.None, version - 3L), Outcome(client.Produce("t", 0, WireClient.Batch("x"), version: version)));
        for (short version = 4; version <= 12; version++)
        {
            var response = client.Call<FetchRequest, FetchResponse>(ApiKey.Fetch, version, WireClient.FetchOf("t", 0, 0, 0, 1, 1 << 20));
            Assert.Equal(9, WireClient.Values(response.Responses[0].Partitions[0].Records).Count);
        }
    }

    [Fact]
    public async Task A_batch_larger_than_every_limit_of_a_fetch_still_comes_whole()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        var large = new string('x', 200_000);
        client.Produce("t", 0, WireClient.Batch(large));
        client.Produce("t", 0, WireClient.Batch("small"));
        Assert.Equal([large], WireClient.Values(client.Fetch("t", 0, 0, maxBytes: 100).Records));
        Assert.Equal(["small"], WireClient.Values(client.Fetch("t", 0, 1, maxBytes: 100).Records));
    }

    [Fact]
    public async Task Offsets_outside_of_the_log_and_unknown_partitions_are_told()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        client.Produce("t", 0, WireClient.Batch("a"));
        Assert.Equal(ErrorCode.OffsetOutOfRange, client.Fetch("t", 0, 2, maxWait: 10_000).ErrorCode);
        Assert.Equal(ErrorCode.OffsetOutOfRange, client.Fetch("t", 0, -5).ErrorCode);
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, client.Fetch("t", 7, 0, maxWait: 10_000).ErrorCode);
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, client.Produce("nope", 0, WireClient.Batch("a")).ErrorCode);
        Assert.Equal(ErrorCode.InvalidRequiredAcks, client.Produce("t", 0, WireClient.Batch("a"), acks: 3).ErrorCode);
    }

    [Fact]
    public async Task Batches_that_break_a_rule_are_refused_one_by_one()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1, new Dictionary<string, string> { ["max.message.bytes"] = "1000" });
        test.Broker.CreateTopic("c", 1, new Dictionary<string, string> { ["cleanup.policy"] = "compact" });
        using var client = test.Connect();
        Assert.Equal(ErrorCode.MessageTooLarge, client.Produce("t", 0, WireClient.Batch(new string('x', 2000))).ErrorCode);
        Assert.Equal(ErrorCode.InvalidRecord, client.Produce("t", 0, [.. WireClient.Batch("a"), .. WireClient.Batch("b")]).ErrorCode);
        using var noKey = new RecordBatchBuilder { Compression = CompressionType.Lz4 };
        noKey.Add(1, default, "v"u8, hasKey: false);
        Assert.Equal(ErrorCode.InvalidRecord, client.Produce("c", 0, noKey.Build()).ErrorCode);
        using var control = new RecordBatchBuilder { Attributes = BatchAttributes.Control };
        control.Add(1, "k"u8, "v"u8);
        Assert.Equal(ErrorCode.InvalidRecord, client.Produce("t", 0, control.Build()).ErrorCode);
        using var zstd = new RecordBatchBuilder { Compression = CompressionType.Zstd };
        zstd.Add(1, "k"u8, "v"u8);
        Assert.Equal(ErrorCode.UnsupportedCompressionType, client.Produce("t", 0, zstd.Build(), version: 5).ErrorCode);
        Assert.Equal(ErrorCode.None, client.Produce("t", 0, WireClient.Batch("good")).ErrorCode);
        Assert.Equal(["good"], WireClient.Values(client.Fetch("t", 0, 0).Records));
    }

    [Fact]
    public async Task Idempotent_batches_are_appended_once_and_in_order_also_across_a_restart()
    {
        var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using (var client = test.Connect())
        {
            Assert.Equal((ErrorCode.None, 0L), Outcome(client.Produce("t", 0, WireClient.Batch(9, 0, 0, "a", "b"))));
            Assert.Equal((ErrorCode.None, 0L), Outcome(client.Produce("t", 0, WireClient.Batch(9, 0, 0, "a", "b"))));
            Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, client.Produce("t", 0, WireClient.Batch(9, 0, 5, "z")).ErrorCode);
            Assert.Equal((ErrorCode.None, 2L), Outcome(client.Produce("t", 0, WireClient.Batch(9, 0, 2, "c"))));
        }
        await using var again = await test.RestartAsync();
        using var second = again.Connect();
        Assert.Equal((ErrorCode.None, 2L), Outcome(second.Produce("t", 0, WireClient.Batch(9, 0, 2, "c"))));
        Assert.Equal((ErrorCode.None, 3L), Outcome(second.Produce("t", 0, WireClient.Batch(9, 1, 0, "d"))));
        Assert.Equal(ErrorCode.InvalidProducerEpoch, second.Produce("t", 0, WireClient.Batch(9, 0, 3, "old")).ErrorCode);
        Assert.Equal(["a", "b", "c", "d"], WireClient.Values(second.Fetch("t", 0, 0).Records));
    }

    [Fact]
    public async Task Offsets_are_found_by_time_inside_of_compressed_batches()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        using var builder = new RecordBatchBuilder { Compression = CompressionType.Snappy };
        for (var i = 0; i < 10; i++)
            builder.Add(5000 + i * 10, "k"u8, "v"u8);
        client.Produce("t", 0, WireClient.Batch("a", "b"));
        client.Produce("t", 0, builder.Build());
        long Offset(long time) => client.Call<ListOffsetsRequest, ListOffsetsResponse>(ApiKey.ListOffsets, 7, new ListOffsetsRequest
        {
            Topics = [new() { Name = "t", Partitions = [new() { Timestamp = time }] }],
        }).Topics[0].Partitions[0].Offset;
        Assert.Equal((0, 12, 11), (Offset(-2), Offset(-1), Offset(-3)));
        Assert.Equal((1, 2, 5, -1), (Offset(1001), Offset(1002), Offset(5025), Offset(6000)));
    }

    [Fact]
    public async Task Records_before_an_offset_are_deleted()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        client.Produce("t", 0, WireClient.Batch("a", "b", "c"));
        var response = client.Call<DeleteRecordsRequest, DeleteRecordsResponse>(ApiKey.DeleteRecords, 2, new DeleteRecordsRequest
        {
            Topics = [new() { Name = "t", Partitions = [new() { Offset = 2 }] }],
        });
        Assert.Equal(2, response.Topics[0].Partitions[0].LowWatermark);
        Assert.Equal(ErrorCode.OffsetOutOfRange, client.Fetch("t", 0, 1).ErrorCode);
        Assert.Equal(["c"], WireClient.Values(client.Fetch("t", 0, 2).Records, from: 2));
    }

    [Fact]
    public async Task A_deleted_topic_is_gone_and_one_of_the_same_name_begins_anew()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        client.Produce("t", 0, WireClient.Batch(5, 0, 0, "a"));
        var first = test.Broker.Topic("t")!.Id;
        using var parked = test.Connect();
        var waiting = parked.Send(ApiKey.Fetch, 11, WireClient.FetchOf("t", 0, 1, 20_000, 1, 1000));
        var deleted = client.Call<DeleteTopicsRequest, DeleteTopicsResponse>(ApiKey.DeleteTopics, 4, new DeleteTopicsRequest { TopicNames = ["t", "../x"] });
        Assert.Equal([ErrorCode.None, ErrorCode.UnknownTopicOrPartition], deleted.Responses.Select(r => r.ErrorCode));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, parked.Receive<FetchResponse>(ApiKey.Fetch, 11, waiting).Responses[0].Partitions[0].ErrorCode);
        Assert.True(test.Broker.CreateTopic("t", 1));
        Assert.NotEqual(first, test.Broker.Topic("t")!.Id);
        Assert.Equal((ErrorCode.None, 0L), Outcome(client.Produce("t", 0, WireClient.Batch(5, 0, 0, "new"))));
    }

    [Fact]
    public async Task The_topics_of_the_brokers_own_state_are_nobody_elses_to_make_grow_set_or_delete()
    {
        await using var test = await TestBroker.StartAsync();
        using var client = test.Connect();
        ErrorCode Make(string name) => client.Call<CreateTopicsRequest, CreateTopicsResponse>(
            ApiKey.CreateTopics, 7, new() { Topics = [new() { Name = name, NumPartitions = 3, ReplicationFactor = 1 }] }).Topics[0].ErrorCode;
        Assert.All(["__consumer_offsets", "__transaction_state", "_schemas"], name => Assert.Equal(ErrorCode.InvalidTopic, Make(name)));
        Assert.Throws<ArgumentException>(() => test.Broker.CreateTopic("_schemas"));
        test.Broker.CreateTopic("t", 1);
        Assert.Equal(ErrorCode.None, client.Call<OffsetCommitRequest, OffsetCommitResponse>(ApiKey.OffsetCommit, 9, new()
        {
            GroupId = "g", GenerationIdOrMemberEpoch = -1, Topics = [new() { Name = "t", Partitions = [new() { CommittedOffset = 1 }] }],
        }).Topics[0].Partitions[0].ErrorCode);
        Assert.Equal(ErrorCode.TopicAlreadyExists, Make("__consumer_offsets"));
        var set = client.Call<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse>(ApiKey.IncrementalAlterConfigs, 1, new()
        {
            Resources = [new() { ResourceType = 2, ResourceName = "__consumer_offsets", Configs = [new() { Name = "cleanup.policy", Value = "delete" }] }],
        }).Responses[0];
        Assert.Equal((ErrorCode.PolicyViolation, "__consumer_offsets holds the broker's own state and is kept by it alone"), (set.ErrorCode, set.ErrorMessage));
        Assert.Equal(ErrorCode.InvalidTopic, client.Call<CreatePartitionsRequest, CreatePartitionsResponse>(
            ApiKey.CreatePartitions, 3, new() { Topics = [new() { Name = "__consumer_offsets", Count = 5 }] }).Results[0].ErrorCode);
        Assert.Equal(ErrorCode.InvalidTopic, client.Call<DeleteTopicsRequest, DeleteTopicsResponse>(
            ApiKey.DeleteTopics, 4, new() { TopicNames = ["__consumer_offsets"] }).Responses[0].ErrorCode);
        Assert.Equal("compact", test.Broker.Topic("__consumer_offsets")!.Configs["cleanup.policy"]);
    }

    [Fact]
    public async Task Metadata_creates_topics_when_asked_to_and_never_outside_of_the_rules_for_names()
    {
        await using var test = await TestBroker.StartAsync();
        using var client = test.Connect();
        MetadataResponse Ask(short version, bool create, params string[] names) => client.Call<MetadataRequest, MetadataResponse>(
            ApiKey.Metadata, version, new MetadataRequest { AllowAutoTopicCreation = create, Topics = [.. names.Select(n => new MetadataRequest.MetadataRequestTopic { Name = n })] });
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, Ask(9, false, "a").Topics[0].ErrorCode);
        Assert.Equal(3, Ask(9, true, "a").Topics[0].Partitions.Count);
        foreach (var bad in new[] { "", ".", "..", "a/b", "../../etc/x", "a\0b", "ä", new string('x', 250) })
            Assert.Equal(ErrorCode.InvalidTopic, Ask(9, true, bad).Topics[0].ErrorCode);
        var all = client.Call<MetadataRequest, MetadataResponse>(ApiKey.Metadata, 12, new MetadataRequest { Topics = null });
        Assert.Equal(["a"], all.Topics.Select(t => t.Name));
        Assert.Equal((test.Broker.Endpoint.Port, "127.0.0.1"), (all.Brokers[0].Port, all.Brokers[0].Host));
        Assert.Equal(["a"], Directory.GetDirectories(Path.Combine(test.Folder, "topics")).Select(Path.GetFileName));
    }

    [Fact]
    public async Task An_unknown_version_of_ApiVersions_is_answered_so_that_every_client_can_read_it()
    {
        await using var test = await TestBroker.StartAsync();
        using var client = test.Connect();
        client.SendRaw([0, 0, 0, 12, 0, 18, 0, 99, 0, 0, 0, 7, 0xFF, 0xFF, 0, 0]);
        var response = client.Receive<ApiVersionsResponse>(ApiKey.ApiVersions, 0, 7);
        Assert.Equal(ErrorCode.UnsupportedVersion, response.ErrorCode);
        Assert.Contains(response.ApiKeys, k => k is { ApiKey: 18, MinVersion: 0, MaxVersion: 4 });
        var again = client.Call<ApiVersionsRequest, ApiVersionsResponse>(ApiKey.ApiVersions, 3, new ApiVersionsRequest());
        Assert.Contains(again.ApiKeys, k => k is { ApiKey: 0, MinVersion: 0, MaxVersion: 11 });
    }

    [Fact]
    public async Task A_full_disk_stops_acknowledging_and_recovers_when_there_is_room()
    {
        var disk = new Millrace.Storage.Files.Faults.SimulatedFileSystem(1);
        await using var test = await TestBroker.StartAsync(o => o with { DataFolder = "/data", Files = disk });
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        Assert.Equal(ErrorCode.None, client.Produce("t", 0, WireClient.Batch("a")).ErrorCode);
        disk.Faults = disk.Faults with { CapacityBytes = disk.UsedBytes };
        Assert.Equal(ErrorCode.StorageError, client.Produce("t", 0, WireClient.Batch("b")).ErrorCode);
        Assert.Contains("make room", await test.Line("no space left"), StringComparison.Ordinal);
        Assert.Equal(["a"], WireClient.Values(client.Fetch("t", 0, 0).Records));
        disk.Faults = disk.Faults with { CapacityBytes = long.MaxValue };
        Assert.Equal((ErrorCode.None, 1L), Outcome(client.Produce("t", 0, WireClient.Batch("c"))));
        Assert.Null(test.Broker.Fault);
    }

    [Fact]
    public async Task Bit_rot_is_answered_with_an_error_and_logged_with_file_and_place()
    {
        var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using (var client = test.Connect())
            client.Produce("t", 0, WireClient.Batch("a"));
        var path = Path.Combine(test.Folder, "topics/t/0/00000000000000000000.log");
        await test.Broker.DisposeAsync();
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[70] ^= 1;
        await File.WriteAllBytesAsync(path, bytes);
        await using var again = await TestBroker.StartAsync(folder: test.Folder);
        using var second = again.Connect();
        Assert.Equal(ErrorCode.CorruptMessage, second.Fetch("t", 0, 0).ErrorCode);
        Assert.Contains(path, await again.Line("is damaged at byte 0"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Retention_deletes_whole_old_segments_and_moves_the_start()
    {
        await using var test = await TestBroker.StartAsync(o => o with { MaintenanceInterval = TimeSpan.FromMilliseconds(20), SegmentBytes = 2000 });
        test.Broker.CreateTopic("t", 1, new Dictionary<string, string> { ["retention.bytes"] = "4000", ["retention.ms"] = "-1" });
        using var client = test.Connect();
        for (var i = 0; i < 20; i++)
            client.Produce("t", 0, WireClient.Batch(new string('x', 900)));
        var started = TimeProvider.System.GetTimestamp();
        var partition = test.Broker.Topic("t")!.Partitions[0];
        // Retention may be at work when the last record has just come: wait for its end.
        while ((partition.LogStart < 10 || partition.Bytes > 7000) && TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromSeconds(20))
        {
            await Task.Delay(10);
            partition = test.Broker.Topic("t")!.Partitions[0];
        }
        Assert.InRange(partition.LogStart, 10, 18);
        Assert.InRange(partition.Bytes, 3000, 7000);
        Assert.Equal(ErrorCode.OffsetOutOfRange, client.Fetch("t", 0, 0).ErrorCode);
        Assert.Equal(ErrorCode.None, client.Fetch("t", 0, partition.LogStart).ErrorCode);
    }

    [Fact]
    public async Task A_port_in_use_and_a_folder_in_use_are_told_with_what_to_do()
    {
        await using var test = await TestBroker.StartAsync();
        var port = test.Broker.Endpoint.Port;
        var busyPort = await Assert.ThrowsAsync<IOException>(() => TestBroker.StartAsync(o => o with { Port = port }));
        Assert.Contains($"port {port} is in use", busyPort.Message, StringComparison.Ordinal);
        var busyFolder = await Assert.ThrowsAsync<FolderLockedException>(() => TestBroker.StartAsync(folder: test.Folder));
        Assert.Contains($"{Environment.ProcessId}", busyFolder.Message, StringComparison.Ordinal);
    }

    private static (ErrorCode, long) Outcome(ProduceResponse.PartitionProduceResponse response) => (response.ErrorCode, response.BaseOffset);
}
