using Millrace.Kafka.Messages;
using Millrace.Log.Topics;

namespace Millrace.Log.Server;

/// <summary>What clients ask to find their way: versions, topics, the one broker, the coordinator.</summary>
internal sealed class MetadataHandler(BrokerContext context, IReadOnlyList<ApiVersionRange> served)
{
    /// <summary>Authorized operations that were not asked for.</summary>
    private const int NotAsked = int.MinValue;

    /// <summary>All operations that Kafka defines for a topic, as bits; without ACLs everyone may do everything.</summary>
    private const int AllTopicOperations = 0b1101_1111_1000;
    private const int AllClusterOperations = 0b1_1111_1011_0000;

    public void ApiVersions(Exchange exchange, ApiVersionsRequest? request)
    {
        var response = new ApiVersionsResponse();
        if (request is null)
        {
            // An unknown version is answered in version 0, so that the client can read what there is (KIP-511).
            exchange.ResponseVersion = 0;
            response.ErrorCode = ErrorCode.UnsupportedVersion;
        }
        else
        {
            exchange.Connection.Software = request.ClientSoftwareName;
        }
        foreach (var range in served)
            response.ApiKeys.Add(new ApiVersionsResponse.ApiVersion { ApiKey = (short)range.Key, MinVersion = range.Min, MaxVersion = range.Max });
        exchange.Complete(response);
    }

    public void Metadata(Exchange exchange, MetadataRequest request)
    {
        var response = new MetadataResponse { ClusterId = context.Store.ClusterId, ControllerId = context.Options.NodeId };
        response.Brokers.Add(new MetadataResponse.MetadataResponseBroker
        {
            NodeId = context.Options.NodeId,
            Host = context.HostFor(exchange.Connection),
            Port = context.Port,
        });
        var withOperations = request.IncludeTopicAuthorizedOperations;
        if (exchange.Version is >= 8 and <= 10)
            response.ClusterAuthorizedOperations = request.IncludeClusterAuthorizedOperations ? AllClusterOperations : NotAsked;
        if (request.Topics is null || (exchange.Version == 0 && request.Topics.Count == 0))
        {
            foreach (var topic in context.Store.Topics.OrderBy(t => t.Name, StringComparer.Ordinal))
                response.Topics.Add(Describe(topic, withOperations));
        }
        else
        {
            foreach (var wanted in request.Topics)
                response.Topics.Add(Find(wanted, request.AllowAutoTopicCreation, withOperations));
        }
        exchange.Complete(response);
    }

    public void DescribeCluster(Exchange exchange, DescribeClusterRequest request)
    {
        var response = new DescribeClusterResponse
        {
            ClusterId = context.Store.ClusterId,
            ControllerId = context.Options.NodeId,
            EndpointType = request.EndpointType,
            ClusterAuthorizedOperations = request.IncludeClusterAuthorizedOperations ? AllClusterOperations : NotAsked,
        };
        response.Brokers.Add(new DescribeClusterResponse.DescribeClusterBroker
        {
            BrokerId = context.Options.NodeId,
            Host = context.HostFor(exchange.Connection),
            Port = context.Port,
        });
        exchange.Complete(response);
    }

    public void FindCoordinator(Exchange exchange, FindCoordinatorRequest request)
    {
        var host = context.HostFor(exchange.Connection);
        var response = new FindCoordinatorResponse { NodeId = context.Options.NodeId, Host = host, Port = context.Port };
        if (request.KeyType is not (0 or 1))
        {
            response = new FindCoordinatorResponse { ErrorCode = ErrorCode.InvalidRequest, NodeId = -1, Port = -1 };
            request.CoordinatorKeys.ForEach(k => response.Coordinators.Add(
                new FindCoordinatorResponse.Coordinator { Key = k, NodeId = -1, Port = -1, ErrorCode = ErrorCode.InvalidRequest }));
            exchange.Complete(response);
            return;
        }
        foreach (var key in request.CoordinatorKeys)
        {
            response.Coordinators.Add(
                new FindCoordinatorResponse.Coordinator { Key = key, NodeId = context.Options.NodeId, Host = host, Port = context.Port });
        }
        exchange.Complete(response);
    }

    private MetadataResponse.MetadataResponseTopic Find(MetadataRequest.MetadataRequestTopic wanted, bool mayCreate, bool withOperations)
    {
        if (wanted.Name is null)
        {
            return context.Store.Find(wanted.TopicId) is { } byId
                ? Describe(byId, withOperations)
                : new MetadataResponse.MetadataResponseTopic { ErrorCode = ErrorCode.UnknownTopicId, TopicId = wanted.TopicId };
        }
        var topic = context.Store.Find(wanted.Name);
        if (topic is not null)
            return Describe(topic, withOperations);
        var error = TopicName.Check(wanted.Name) is not null ? ErrorCode.InvalidTopic
            : mayCreate ? context.AutoCreate(wanted.Name, out topic)
            : ErrorCode.UnknownTopicOrPartition;
        return topic is not null && error == ErrorCode.None
            ? Describe(topic, withOperations)
            : new MetadataResponse.MetadataResponseTopic { ErrorCode = error, Name = wanted.Name };
    }

    private MetadataResponse.MetadataResponseTopic Describe(Topic topic, bool withOperations)
    {
        var partitions = topic.Partitions;
        var described = new MetadataResponse.MetadataResponseTopic
        {
            Name = topic.Name,
            TopicId = topic.Id,
            IsInternal = topic.IsInternal,
            Partitions = new List<MetadataResponse.MetadataResponsePartition>(partitions.Length),
            TopicAuthorizedOperations = withOperations ? AllTopicOperations : NotAsked,
        };
        foreach (var partition in partitions)
        {
            described.Partitions.Add(new MetadataResponse.MetadataResponsePartition
            {
                PartitionIndex = partition.Index,
                LeaderId = context.Options.NodeId,
                LeaderEpoch = 0,
                ReplicaNodes = [context.Options.NodeId],
                IsrNodes = [context.Options.NodeId],
            });
        }
        return described;
    }
}
