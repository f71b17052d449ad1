using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;
using Millrace.Log.Server;

namespace Millrace.Tests.Log;

public sealed class AccessRulesTests
{
    /// <summary>A user without any rule sends every request there is: none is answered as if it were allowed to change or see something.</summary>
    [Fact]
    public async Task Every_request_that_is_served_is_denied_to_who_has_no_rule()
    {
        await using var test = await SecurityTests.StartAsync();
        foreach (var range in RequestRouter.Served)
        {
            if (range.Key is ApiKey.ApiVersions or ApiKey.SaslHandshake or ApiKey.SaslAuthenticate or ApiKey.DescribeCluster)
                continue;
            using var client = SecurityTests.Login(test, "alice", "a");
            var type = typeof(ProduceRequest).Assembly.GetType($"Millrace.Kafka.Messages.{range.Key}Request")!;
            client.SendRaw((byte[])typeof(AccessRulesTests).GetMethod(nameof(FrameOf), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Static)!
                .MakeGenericMethod(type).Invoke(null, [range.Key, range.Max])!);
            var answer = client.ReceiveFrame();
            // Closed, an authorization error, or a list with nothing in it.
            Assert.True(answer is null || answer.Length < 120, $"{range.Key} was answered with {answer?.Length} bytes");
        }
        Assert.Equal(["closed", "open"], test.Broker.Topics().Where(t => !t.IsInternal).Select(t => t.Name));
        Assert.Equal(["alice", "root"], test.Broker.Security.Users().Select(u => u.Key));
    }

    private static byte[] FrameOf<T>(ApiKey key, short version)
        where T : IWireStruct, new()
    {
        var request = new T();
        switch (request)
        {
            case ProduceRequest produce:
                (produce.Acks, produce.TimeoutMs) = (-1, 1000);
                produce.Topics.Add(new ProduceRequest.TopicProduceData { Name = "open", Partitions = [new ProduceRequest.PartitionProduceData()] });
                break;
            case CreateTopicsRequest create:
                create.Topics.Add(new CreateTopicsRequest.CreatableTopic { Name = "made", NumPartitions = 1, ReplicationFactor = 1 });
                break;
            case DeleteTopicsRequest delete:
                delete.Topics.Add(new DeleteTopicsRequest.DeleteTopicState { Name = "open" });
                break;
            case AlterUserScramCredentialsRequest alter:
                alter.Deletions.Add(new AlterUserScramCredentialsRequest.ScramCredentialDeletion { Name = "root", Mechanism = 1 });
                alter.Deletions.Add(new AlterUserScramCredentialsRequest.ScramCredentialDeletion { Name = "root", Mechanism = 2 });
                break;
            case MetadataRequest metadata:
                metadata.Topics = [new MetadataRequest.MetadataRequestTopic { Name = "closed" }];
                break;
        }
        return WireClient.Frame(key, version, 1, request);
    }
}
