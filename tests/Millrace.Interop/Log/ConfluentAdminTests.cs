using System.Runtime.InteropServices;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Millrace.Kafka.Clients;
using Millrace.Storage.Native;
using Millrace.Tests.Log;
using BrokerSecurity = Millrace.Log.Security.BrokerSecurity;
using TopicPartition = Confluent.Kafka.TopicPartition;

namespace Millrace.Interop.Log;

/// <summary>Every call of Confluent.Kafka's admin client: those that the system's librdkafka has work, the others say what it lacks.</summary>
public sealed class ConfluentAdminTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private TestBroker _test = null!;
    private IAdminClient _admin = null!;

    public async Task InitializeAsync()
    {
        KafkaLibraries.EnsureReady();
        OlderLibrdkafka.EnsureReadable();
        _test = await TestBroker.StartAsync(o => o with
        {
            Security = new BrokerSecurity { Mechanisms = [BrokerSecurity.Plain], SuperUsers = ["root"], FailedLoginDelay = TimeSpan.Zero },
        });
        _test.Broker.Security.SetPassword("root", "rootpw");
        _admin = new AdminClientBuilder(new AdminClientConfig(Config())).Build();
    }

    public async Task DisposeAsync()
    {
        _admin.Dispose();
        await _test.DisposeAsync();
    }

    [Fact]
    public async Task Topics_partitions_settings_and_records()
    {
        await CreateAsync("t", 2);
        await _admin.CreatePartitionsAsync([new PartitionsSpecification { Topic = "t", IncreaseTo = 3 }]).WaitAsync(Patience);
        Assert.Equal(3, _admin.GetMetadata("t", Patience).Topics[0].Partitions.Count);
        Assert.Equal(ErrorCode.InvalidPartitions, (await Assert.ThrowsAsync<CreatePartitionsException>(
            () => _admin.CreatePartitionsAsync([new PartitionsSpecification { Topic = "t", IncreaseTo = 1 }]))).Results[0].Error.Code);
        var resource = new ConfigResource { Type = ResourceType.Topic, Name = "t" };
        await _admin.AlterConfigsAsync(new() { [resource] = [new ConfigEntry { Name = "retention.ms", Value = "2000000" }] }).WaitAsync(Patience);
        Assert.Equal("2000000", (await _admin.DescribeConfigsAsync([resource]).WaitAsync(Patience))[0].Entries["retention.ms"].Value);
        var broker = new ConfigResource { Type = ResourceType.Broker, Name = _admin.GetMetadata(Patience).Brokers[0].BrokerId.ToString(System.Globalization.CultureInfo.InvariantCulture) };
        Assert.NotEmpty((await _admin.DescribeConfigsAsync([broker]).WaitAsync(Patience))[0].Entries);
        await ProduceAsync("t", 0, 10);
        var deleted = await _admin.DeleteRecordsAsync([new TopicPartitionOffset("t", 0, 4)]).WaitAsync(Patience);
        Assert.Equal(4, deleted[0].Offset.Value);
        await _admin.DeleteTopicsAsync(["t"]).WaitAsync(Patience);
        Assert.Equal(ErrorCode.UnknownTopicOrPart, (await Assert.ThrowsAsync<DeleteTopicsException>(() => _admin.DeleteTopicsAsync(["t"]))).Results[0].Error.Code);
    }

    [Fact]
    public async Task Groups_and_their_offsets()
    {
        await CreateAsync("g", 2);
        await ProduceAsync("g", 0, 5);
        using (var consumer = new ConsumerBuilder<Ignore, string>(new ConsumerConfig(Config()) { GroupId = "group", AutoOffsetReset = AutoOffsetReset.Earliest }).Build())
        {
            consumer.Subscribe("g");
            for (var read = 0; read < 5; read++)
                Assert.NotNull(consumer.Consume(Patience));
            consumer.Commit();
            // Neither the description nor the list of KIP-222 can be asked for by an older librdkafka; the one of before can.
            var known = Assert.Single(_admin.ListGroups(Patience));
            Assert.Equal(("group", "Stable", 1), (known.Group, known.State, known.Members.Count));
            Assert.Equal("range", _admin.ListGroup("group", Patience).Protocol);
            consumer.Close();
        }
        var group = new ConsumerGroupTopicPartitions("group", null);
        var offsets = await _admin.ListConsumerGroupOffsetsAsync([group]).WaitAsync(Patience);
        Assert.Contains(offsets[0].Partitions, p => p.Partition.Value == 0 && p.Offset.Value == 5);
        await _admin.AlterConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitionOffsets("group", [new TopicPartitionOffset("g", 0, 2)])]).WaitAsync(Patience);
        offsets = await _admin.ListConsumerGroupOffsetsAsync([group]).WaitAsync(Patience);
        Assert.Contains(offsets[0].Partitions, p => p.Partition.Value == 0 && p.Offset.Value == 2);
        await _admin.DeleteConsumerGroupOffsetsAsync("group", [new TopicPartition("g", 0)]).WaitAsync(Patience);
        offsets = await _admin.ListConsumerGroupOffsetsAsync([group]).WaitAsync(Patience);
        Assert.DoesNotContain(offsets[0].Partitions, p => p.Partition.Value == 0 && p.Offset.Value >= 0);
        await _admin.DeleteGroupsAsync(["group"]).WaitAsync(Patience);
        Assert.Equal(ErrorCode.GroupIdNotFound, (await Assert.ThrowsAsync<DeleteGroupsException>(() => _admin.DeleteGroupsAsync(["group"]))).Results[0].Error.Code);
        Assert.Empty(_admin.ListGroups(Patience));
    }

    [Fact]
    public async Task Rules()
    {
        AclBinding Rule(AclOperation operation) => new()
        {
            Pattern = new ResourcePattern { Type = ResourceType.Topic, Name = "orders-", ResourcePatternType = ResourcePatternType.Prefixed },
            Entry = new AccessControlEntry { Principal = "User:alice", Host = "*", Operation = operation, PermissionType = AclPermissionType.Allow },
        };
        await _admin.CreateAclsAsync([Rule(AclOperation.Read), Rule(AclOperation.Write)]).WaitAsync(Patience);
        var any = new AclBindingFilter
        {
            PatternFilter = new ResourcePatternFilter { Type = ResourceType.Any, ResourcePatternType = ResourcePatternType.Any },
            EntryFilter = new AccessControlEntryFilter { Principal = "User:alice", Operation = AclOperation.Any, PermissionType = AclPermissionType.Any },
        };
        Assert.Equal(2, (await _admin.DescribeAclsAsync(any).WaitAsync(Patience)).AclBindings.Count);
        any.EntryFilter.Operation = AclOperation.Write;
        Assert.Equal(AclOperation.Write, Assert.Single((await _admin.DeleteAclsAsync([any]).WaitAsync(Patience))[0].AclBindings).Entry.Operation);
        any.EntryFilter.Operation = AclOperation.Any;
        Assert.Equal(AclOperation.Read, Assert.Single((await _admin.DescribeAclsAsync(any).WaitAsync(Patience)).AclBindings).Entry.Operation);
    }

    /// <summary>
    /// The broker answers these (Apache Kafka's tools ask for them all). The client calls a function of librdkafka that came with a version; where the
    /// library is older the call throws, or ends the process when the function is missed in the background, so it is not made here.
    /// </summary>
    [Theory]
    [InlineData("IncrementalAlterConfigs", "rd_kafka_ConfigResource_add_incremental_config", "2.2.0")]
    [InlineData("DescribeUserScramCredentials", "rd_kafka_DescribeUserScramCredentials", "2.2.0")]
    [InlineData("AlterUserScramCredentials", "rd_kafka_UserScramCredentialUpsertion_new", "2.2.0")]
    [InlineData("DescribeTopics", "rd_kafka_TopicCollection_of_topic_names", "2.3.0")]
    [InlineData("DescribeCluster", "rd_kafka_DescribeCluster", "2.3.0")]
    [InlineData("ListOffsets", "rd_kafka_ListOffsets", "2.3.0")]
    [InlineData("DescribeConsumerGroups", "rd_kafka_ConsumerGroupDescription_type", "2.3.0")]
    [InlineData("ListConsumerGroups", "rd_kafka_ConsumerGroupListing_type", "2.6.0")]
    public async Task Calls_of_a_newer_library_work_where_it_has_their_functions(string call, string function, string since)
    {
        var library = NativeLibraries.Load(NativeLibraries.Librdkafka);
        var has = NativeLibrary.TryGetExport(library, function, out _);
        var version = Version.Parse(since);
        if (!has || Library.Version < ((version.Major << 24) | (version.Minor << 16)))
        {
            Assert.False(has, $"librdkafka {Library.VersionString} has {function}");
            Assert.True(Library.Version < 0x020b0000, $"librdkafka {Library.VersionString} has no {function}");
            return;
        }
        await CreateAsync("t", 1);
        await AskAsync(call).WaitAsync(Patience);
    }

    private Task AskAsync(string call)
    {
        var resource = new ConfigResource { Type = ResourceType.Topic, Name = "t" };
        return call switch
        {
            "IncrementalAlterConfigs" => _admin.IncrementalAlterConfigsAsync(new() { [resource] = [new ConfigEntry { Name = "retention.ms", Value = "3000000", IncrementalOperation = AlterConfigOpType.Set }] }),
            "DescribeUserScramCredentials" => _admin.DescribeUserScramCredentialsAsync([]),
            "AlterUserScramCredentials" => _admin.AlterUserScramCredentialsAsync([new UserScramCredentialUpsertion
            {
                User = "bob", Password = "bobpw"u8.ToArray(), ScramCredentialInfo = new ScramCredentialInfo { Mechanism = ScramMechanism.ScramSha256, Iterations = 4096 },
            }]),
            "DescribeTopics" => _admin.DescribeTopicsAsync(TopicCollection.OfTopicNames(["t"])),
            "DescribeCluster" => _admin.DescribeClusterAsync(),
            "ListOffsets" => _admin.ListOffsetsAsync([new TopicPartitionOffsetSpec { TopicPartition = new TopicPartition("t", 0), OffsetSpec = OffsetSpec.Latest() }]),
            "DescribeConsumerGroups" => _admin.DescribeConsumerGroupsAsync(["group"], new DescribeConsumerGroupsOptions { IncludeAuthorizedOperations = true }),
            _ => _admin.ListConsumerGroupsAsync(),
        };
    }

    private Dictionary<string, string> Config() => new()
    {
        ["bootstrap.servers"] = _test.Broker.BootstrapServers, ["security.protocol"] = "SASL_PLAINTEXT", ["sasl.mechanisms"] = "PLAIN", ["sasl.username"] = "root",
        ["sasl.password"] = "rootpw",
    };

    private Task CreateAsync(string topic, int partitions) =>
        _admin.CreateTopicsAsync([new TopicSpecification { Name = topic, NumPartitions = partitions, ReplicationFactor = 1 }]).WaitAsync(Patience);

    private async Task ProduceAsync(string topic, int partition, int count)
    {
        using var producer = new ProducerBuilder<Null, string>(Config()).Build();
        for (var i = 0; i < count; i++)
            await producer.ProduceAsync(new TopicPartition(topic, partition), new Message<Null, string> { Value = $"{i}" }).WaitAsync(Patience);
    }
}
