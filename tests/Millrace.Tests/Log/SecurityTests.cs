using System.Text;
using Millrace.Kafka.Messages;
using Millrace.Log.Security;

namespace Millrace.Tests.Log;

/// <summary>Logins, rules and quotas over the wire.</summary>
public sealed class SecurityTests
{
    private static readonly BrokerSecurity Logins = new()
    {
        Mechanisms = [BrokerSecurity.Plain, BrokerSecurity.ScramSha256], SuperUsers = ["root"], FailedLoginDelay = TimeSpan.Zero,
    };

    internal static async Task<TestBroker> StartAsync()
    {
        var test = await TestBroker.StartAsync(o => o with { Security = Logins });
        test.Broker.Security.SetPassword("root", "r");
        test.Broker.Security.SetPassword("alice", "a");
        test.Broker.CreateTopic("open", 1);
        test.Broker.CreateTopic("closed", 1);
        return test;
    }

    internal static WireClient Login(TestBroker test, string user, string password)
    {
        var client = test.Connect();
        var handshake = client.Call<SaslHandshakeRequest, SaslHandshakeResponse>(ApiKey.SaslHandshake, 1, new SaslHandshakeRequest { Mechanism = "PLAIN" });
        Assert.Equal(ErrorCode.None, handshake.ErrorCode);
        var answer = client.Call<SaslAuthenticateRequest, SaslAuthenticateResponse>(
            ApiKey.SaslAuthenticate, 2, new SaslAuthenticateRequest { AuthBytes = Encoding.UTF8.GetBytes($"\0{user}\0{password}") });
        Assert.Equal((ErrorCode.None, null), (answer.ErrorCode, answer.ErrorMessage));
        return client;
    }

    [Fact]
    public async Task Without_a_login_nothing_but_the_login_is_answered()
    {
        await using var test = await StartAsync();
        using var client = test.Connect();
        Assert.NotEmpty(client.Call<ApiVersionsRequest, ApiVersionsResponse>(ApiKey.ApiVersions, 3, new ApiVersionsRequest()).ApiKeys);
        var unknown = client.Call<SaslHandshakeRequest, SaslHandshakeResponse>(ApiKey.SaslHandshake, 1, new SaslHandshakeRequest { Mechanism = "GSSAPI" });
        Assert.Equal(ErrorCode.UnsupportedSaslMechanism, unknown.ErrorCode);
        Assert.Equal(Logins.Mechanisms, unknown.Mechanisms);
        client.Send(ApiKey.Metadata, 9, new MetadataRequest());
        Assert.Null(client.ReceiveFrame());
        await test.Line("a login comes before Metadata");
    }

    [Fact]
    public async Task A_wrong_password_is_told_and_ends_the_connection()
    {
        await using var test = await StartAsync();
        using var client = test.Connect();
        client.Call<SaslHandshakeRequest, SaslHandshakeResponse>(ApiKey.SaslHandshake, 1, new SaslHandshakeRequest { Mechanism = "PLAIN" });
        var answer = client.Call<SaslAuthenticateRequest, SaslAuthenticateResponse>(
            ApiKey.SaslAuthenticate, 2, new SaslAuthenticateRequest { AuthBytes = "\0alice\0wrong"u8.ToArray() });
        Assert.Equal(ErrorCode.SaslAuthenticationFailed, answer.ErrorCode);
        Assert.Null(client.ReceiveFrame());
    }

    [Fact]
    public async Task Tokens_without_requests_around_them_log_in_too()
    {
        await using var test = await StartAsync();
        using var client = test.Connect();
        client.Call<SaslHandshakeRequest, SaslHandshakeResponse>(ApiKey.SaslHandshake, 0, new SaslHandshakeRequest { Mechanism = "PLAIN" });
        client.SendRaw([0, 0, 0, 7, 0, .. "root"u8, 0, .. "r"u8]);
        Assert.Empty(client.ReceiveFrame()!);
        Assert.Contains(client.Call<MetadataRequest, MetadataResponse>(ApiKey.Metadata, 9, new MetadataRequest()).Topics, t => t.Name == "closed");
    }

    [Fact]
    public async Task Rules_open_what_they_name_and_nothing_else()
    {
        await using var test = await StartAsync();
        using var root = Login(test, "root", "r");
        var created = root.Call<CreateAclsRequest, CreateAclsResponse>(ApiKey.CreateAcls, 3, new CreateAclsRequest
        {
            Creations = [new CreateAclsRequest.AclCreation
            {
                ResourceType = 2, ResourceName = "open", ResourcePatternType = 3, Principal = "User:alice", Host = "*", Operation = 4, PermissionType = 3,
            }],
        });
        Assert.Equal(ErrorCode.None, Assert.Single(created.Results).ErrorCode);
        using var alice = Login(test, "alice", "a");
        Assert.Equal(ErrorCode.None, alice.Produce("open", 0, Records()).ErrorCode);
        Assert.Equal(ErrorCode.TopicAuthorizationFailed, alice.Produce("closed", 0, Records()).ErrorCode);
        Assert.Equal("open", Assert.Single(alice.Call<MetadataRequest, MetadataResponse>(ApiKey.Metadata, 9, new MetadataRequest()).Topics).Name);
        var fetched = alice.Call<FetchRequest, FetchResponse>(ApiKey.Fetch, 11, new FetchRequest
        {
            MaxWaitMs = 0, MinBytes = 1, Topics = [new FetchRequest.FetchTopic { Topic = "open", Partitions = [new FetchRequest.FetchPartition { PartitionMaxBytes = 1 << 20 }] }],
        });
        Assert.Equal(ErrorCode.TopicAuthorizationFailed, fetched.Responses[0].Partitions[0].ErrorCode);
        var refused = alice.Call<CreateAclsRequest, CreateAclsResponse>(ApiKey.CreateAcls, 3, new CreateAclsRequest { Creations = [new()] });
        Assert.Equal(ErrorCode.ClusterAuthorizationFailed, refused.Results[0].ErrorCode);
        var joined = alice.Call<JoinGroupRequest, JoinGroupResponse>(ApiKey.JoinGroup, 5, new JoinGroupRequest { GroupId = "g", SessionTimeoutMs = 10_000, ProtocolType = "consumer" });
        Assert.Equal(ErrorCode.GroupAuthorizationFailed, joined.ErrorCode);
        var deleted = root.Call<DeleteAclsRequest, DeleteAclsResponse>(ApiKey.DeleteAcls, 3, new DeleteAclsRequest
        {
            Filters = [new DeleteAclsRequest.DeleteAclsFilter { ResourceTypeFilter = 2, PatternTypeFilter = 1, Operation = 1, PermissionType = 1 }],
        });
        Assert.Equal("open", Assert.Single(deleted.FilterResults[0].MatchingAcls).ResourceName);
        Assert.Equal(ErrorCode.TopicAuthorizationFailed, alice.Produce("open", 0, Records()).ErrorCode);
    }

    [Fact]
    public async Task A_regular_expression_finds_no_topic_that_its_member_may_not_describe()
    {
        await using var test = await StartAsync();
        using var root = Login(test, "root", "r");
        root.Call<CreateAclsRequest, CreateAclsResponse>(ApiKey.CreateAcls, 3, new CreateAclsRequest
        {
            Creations =
            [
                new CreateAclsRequest.AclCreation { ResourceType = 2, ResourceName = "open", Principal = "User:alice", Host = "*", Operation = 3, PermissionType = 3 },
                new CreateAclsRequest.AclCreation { ResourceType = 3, ResourceName = "g", Principal = "User:alice", Host = "*", Operation = 3, PermissionType = 3 },
            ],
        });
        using var alice = Login(test, "alice", "a");
        ConsumerGroupHeartbeatResponse Join(WireClient client, string member) => client.Call<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse>(
            ApiKey.ConsumerGroupHeartbeat, 1, new() { GroupId = "g", MemberId = member, RebalanceTimeoutMs = 1000, SubscribedTopicRegex = ".*", TopicPartitions = [] });
        var open = test.Broker.Topics().Single(t => t.Name == "open").Id;
        Assert.Equal(open, Assert.Single(Join(alice, "a").Assignment!.TopicPartitions).TopicId);
        // The same expression finds the other topic for who may see it.
        Assert.Contains(Join(root, "r").Assignment!.TopicPartitions, t => t.TopicId != open);
        Assert.Single(alice.Call<MetadataRequest, MetadataResponse>(ApiKey.Metadata, 9, new MetadataRequest { Topics = null }).Topics);
    }

    [Fact]
    public async Task Users_and_rules_survive_a_restart()
    {
        var test = await StartAsync();
        using (var root = Login(test, "root", "r"))
        {
            root.Call<CreateAclsRequest, CreateAclsResponse>(ApiKey.CreateAcls, 3, new CreateAclsRequest
            {
                Creations = [new CreateAclsRequest.AclCreation { ResourceType = 2, ResourceName = "*", Principal = "User:alice", Host = "*", Operation = 2, PermissionType = 3 }],
            });
        }
        test = await test.RestartAsync(o => o with { Security = Logins });
        await using (test)
        {
            using var alice = Login(test, "alice", "a");
            Assert.Equal(ErrorCode.None, alice.Produce("closed", 0, Records()).ErrorCode);
        }
    }

    [Fact]
    public async Task A_client_over_its_quota_is_told_how_long_it_waits()
    {
        await using var test = await TestBroker.StartAsync(o => o with { Quotas = [new ClientQuota(null, "test", QuotaKind.ProducerBytes, 1000)] });
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        ProduceResponse Produce(int bytes) => client.Call<ProduceRequest, ProduceResponse>(ApiKey.Produce, 9, new ProduceRequest
        {
            Acks = -1, TimeoutMs = 1000, Topics = [new ProduceRequest.TopicProduceData { Name = "t", Partitions = [new ProduceRequest.PartitionProduceData { Records = Records(bytes) }] }],
        });
        Assert.InRange(Produce(1_000).ThrottleTimeMs, 1, 200);
        // Twenty seconds' worth; what the machine has rested meanwhile is paid back.
        Assert.InRange(Produce(20_000).ThrottleTimeMs, 10_000, 20_200);
    }

    [Fact]
    public async Task One_address_has_so_many_connections_and_no_more()
    {
        await using var test = await TestBroker.StartAsync(o => o with { MaxConnectionsPerAddress = 2 });
        using var first = test.Connect();
        using var second = test.Connect();
        second.Call<ApiVersionsRequest, ApiVersionsResponse>(ApiKey.ApiVersions, 3, new ApiVersionsRequest());
        using var third = test.Connect();
        await test.Line("MaxConnectionsPerAddress");
        Assert.Null(third.ReceiveFrame());
    }

    [Fact]
    public async Task Without_security_rules_are_answered_with_what_turns_it_on()
    {
        await using var test = await TestBroker.StartAsync();
        using var client = test.Connect();
        var answer = client.Call<DescribeAclsRequest, DescribeAclsResponse>(ApiKey.DescribeAcls, 3, new DescribeAclsRequest { ResourceTypeFilter = 1, PatternTypeFilter = 1, Operation = 1, PermissionType = 1 });
        Assert.Equal(ErrorCode.SecurityDisabled, answer.ErrorCode);
        Assert.Contains("millrace.yaml", answer.ErrorMessage, StringComparison.Ordinal);
    }

    private static byte[] Records(int bytes = 10)
    {
        using var builder = new Millrace.Kafka.Records.RecordBatchBuilder();
        builder.Add(1, default, new byte[bytes], hasValue: true);
        return builder.Build();
    }
}
