using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;
using Millrace.Log.Server;

namespace Millrace.Log.Security;

/// <summary>Requests about topics and the cluster's configuration.</summary>
internal sealed class TopicAccess(BrokerContext context)
{
    private const ErrorCode Denied = ErrorCode.TopicAuthorizationFailed;

    public bool Apply(Client client, IWireStruct request)
    {
        switch (request)
        {
            case ProduceRequest produce:
                Produce(client, produce);
                return true;
            case FetchRequest fetch:
                client.Refuse<FetchRequest.FetchTopic, FetchResponse>(
                    fetch.Topics, t => client.MayTopic(AclOperation.Read, t.Topic), (response, denied) => response.Responses.AddRange(denied.ConvertAll(
                        t => new FetchResponse.FetchableTopicResponse
                        {
                            Topic = t.Topic,
                            Partitions = t.Partitions.ConvertAll(p => new FetchResponse.PartitionData { PartitionIndex = p.Partition, ErrorCode = Denied, HighWatermark = -1 }),
                        })));
                return true;
            case MetadataRequest metadata:
                Metadata(client, metadata);
                return true;
            case ListOffsetsRequest list:
                client.Refuse<ListOffsetsRequest.ListOffsetsTopic, ListOffsetsResponse>(
                    list.Topics, t => client.MayTopic(AclOperation.Describe, t.Name), (response, denied) => response.Topics.AddRange(denied.ConvertAll(
                        t => new ListOffsetsResponse.ListOffsetsTopicResponse
                        {
                            Name = t.Name,
                            Partitions = t.Partitions.ConvertAll(p => new ListOffsetsResponse.ListOffsetsPartitionResponse { PartitionIndex = p.PartitionIndex, ErrorCode = Denied }),
                        })));
                return true;
            case OffsetForLeaderEpochRequest epochs:
                client.Refuse<OffsetForLeaderEpochRequest.OffsetForLeaderTopic, OffsetForLeaderEpochResponse>(
                    epochs.Topics, t => client.MayTopic(AclOperation.Describe, t.Topic), (response, denied) => response.Topics.AddRange(denied.ConvertAll(
                        t => new OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult
                        {
                            Topic = t.Topic,
                            Partitions = t.Partitions.ConvertAll(p => new OffsetForLeaderEpochResponse.EpochEndOffset { Partition = p.Partition, ErrorCode = Denied }),
                        })));
                return true;
            case DescribeProducersRequest producers:
                client.Refuse<DescribeProducersRequest.TopicRequest, DescribeProducersResponse>(
                    producers.Topics, t => client.MayTopic(AclOperation.Read, t.Name), (response, denied) => response.Topics.AddRange(denied.ConvertAll(
                        t => new DescribeProducersResponse.TopicResponse
                        {
                            Name = t.Name,
                            Partitions = t.PartitionIndexes.ConvertAll(p => new DescribeProducersResponse.PartitionResponse { PartitionIndex = p, ErrorCode = Denied }),
                        })));
                return true;
            default:
                return ApplyChanges(client, request) || ApplyConfigs(client, request);
        }
    }

    private bool ApplyChanges(Client client, IWireStruct request)
    {
        switch (request)
        {
            case CreateTopicsRequest create when client.MayCluster(AclOperation.Create):
                return true;
            case CreateTopicsRequest create:
                client.Refuse<CreateTopicsRequest.CreatableTopic, CreateTopicsResponse>(
                    create.Topics, t => client.MayTopic(AclOperation.Create, t.Name), (response, denied) => response.Topics.AddRange(denied.ConvertAll(
                        t => new CreateTopicsResponse.CreatableTopicResult { Name = t.Name, ErrorCode = Denied, ErrorMessage = "Authorization failed." })));
                return true;
            case CreatePartitionsRequest grow:
                client.Refuse<CreatePartitionsRequest.CreatePartitionsTopic, CreatePartitionsResponse>(
                    grow.Topics, t => client.MayTopic(AclOperation.Alter, t.Name), (response, denied) => response.Results.AddRange(denied.ConvertAll(
                        t => new CreatePartitionsResponse.CreatePartitionsTopicResult { Name = t.Name, ErrorCode = Denied })));
                return true;
            case DeleteTopicsRequest delete:
                client.Refuse<string, DeleteTopicsResponse>(
                    delete.TopicNames, t => client.MayTopic(AclOperation.Delete, t), (response, denied) => response.Responses.AddRange(denied.ConvertAll(
                        t => new DeleteTopicsResponse.DeletableTopicResult { Name = t, ErrorCode = Denied })));
                // Who may not describe a topic does not learn from its id that there is one.
                client.Refuse<DeleteTopicsRequest.DeleteTopicState, DeleteTopicsResponse>(
                    delete.Topics, t => NameOf(t) is not { } name || client.MayTopic(AclOperation.Delete, name), (response, denied) => response.Responses.AddRange(denied.ConvertAll(
                        t => new DeleteTopicsResponse.DeletableTopicResult { Name = t.Name, TopicId = t.TopicId, ErrorCode = t.Name is null ? ErrorCode.UnknownTopicId : Denied })));
                return true;
            case DeleteRecordsRequest delete:
                client.Refuse<DeleteRecordsRequest.DeleteRecordsTopic, DeleteRecordsResponse>(
                    delete.Topics, t => client.MayTopic(AclOperation.Delete, t.Name), (response, denied) => response.Topics.AddRange(denied.ConvertAll(
                        t => new DeleteRecordsResponse.DeleteRecordsTopicResult
                        {
                            Name = t.Name,
                            Partitions = t.Partitions.ConvertAll(p => new DeleteRecordsResponse.DeleteRecordsPartitionResult { PartitionIndex = p.PartitionIndex, LowWatermark = -1, ErrorCode = Denied }),
                        })));
                return true;
            default:
                return false;
        }
    }

    private static bool ApplyConfigs(Client client, IWireStruct request)
    {
        switch (request)
        {
            case DescribeConfigsRequest describe:
                client.Refuse<DescribeConfigsRequest.DescribeConfigsResource, DescribeConfigsResponse>(
                    describe.Resources, r => MayConfigure(client, AclOperation.DescribeConfigs, r.ResourceType, r.ResourceName), (response, denied) => response.Results.AddRange(denied.ConvertAll(
                        r => new DescribeConfigsResponse.DescribeConfigsResult { ResourceType = r.ResourceType, ResourceName = r.ResourceName, ErrorCode = ConfigError(r.ResourceType) })));
                return true;
            case AlterConfigsRequest alter:
                client.Refuse<AlterConfigsRequest.AlterConfigsResource, AlterConfigsResponse>(
                    alter.Resources, r => MayConfigure(client, AclOperation.AlterConfigs, r.ResourceType, r.ResourceName), (response, denied) => response.Responses.AddRange(denied.ConvertAll(
                        r => new AlterConfigsResponse.AlterConfigsResourceResponse { ResourceType = r.ResourceType, ResourceName = r.ResourceName, ErrorCode = ConfigError(r.ResourceType) })));
                return true;
            case IncrementalAlterConfigsRequest alter:
                client.Refuse<IncrementalAlterConfigsRequest.AlterConfigsResource, IncrementalAlterConfigsResponse>(
                    alter.Resources, r => MayConfigure(client, AclOperation.AlterConfigs, r.ResourceType, r.ResourceName), (response, denied) => response.Responses.AddRange(denied.ConvertAll(
                        r => new IncrementalAlterConfigsResponse.AlterConfigsResourceResponse { ResourceType = r.ResourceType, ResourceName = r.ResourceName, ErrorCode = ConfigError(r.ResourceType) })));
                return true;
            default:
                return false;
        }
    }

    private static bool MayConfigure(Client client, AclOperation operation, sbyte type, string name) =>
        type == (sbyte)ResourceType.Topic ? client.MayTopic(operation, name) : client.MayCluster(operation);

    private static ErrorCode ConfigError(sbyte type) => type == (sbyte)ResourceType.Topic ? Denied : ErrorCode.ClusterAuthorizationFailed;

    private static void Produce(Client client, ProduceRequest request)
    {
        var error = request.TransactionalId is { } id && !client.MayTransaction(AclOperation.Write, id) ? ErrorCode.TransactionalIdAuthorizationFailed : Denied;
        var before = request.Topics.Count;
        client.Refuse<ProduceRequest.TopicProduceData, ProduceResponse>(
            request.Topics, t => error == Denied && client.MayTopic(AclOperation.Write, t.Name), (response, denied) => response.Responses.AddRange(denied.ConvertAll(
                t => new ProduceResponse.TopicProduceResponse
                {
                    Name = t.Name,
                    PartitionResponses = t.Partitions.ConvertAll(p => new ProduceResponse.PartitionProduceResponse { Index = p.Index, ErrorCode = error, BaseOffset = -1 }),
                })));
        // Without an answer a closed connection is the only way to tell.
        if (request.Acks == 0 && request.Topics.Count < before)
            client.Exchange.CloseAfterSend = "a Produce request with acks=0 was denied";
    }

    private void Metadata(Client client, MetadataRequest request)
    {
        if (request.Topics is null || (client.Exchange.Version == 0 && request.Topics.Count == 0))
        {
            client.Exchange.Amend += response => ((MetadataResponse)response).Topics.RemoveAll(t => t.Name is not null && !client.MayTopic(AclOperation.Describe, t.Name));
            return;
        }
        var any = request.Topics.Count > 0;
        client.Refuse<MetadataRequest.MetadataRequestTopic, MetadataResponse>(
            request.Topics, t => MayFind(client, t, request.AllowAutoTopicCreation), (response, denied) => response.Topics.AddRange(denied.ConvertAll(
                t => new MetadataResponse.MetadataResponseTopic
                {
                    Name = t.Name, TopicId = t.TopicId, ErrorCode = t.Name is null ? ErrorCode.UnknownTopicId : Denied,
                })));
        // Version 0 takes an empty list for all topics.
        if (any && request.Topics.Count == 0 && client.Exchange.Version == 0)
            client.Exchange.Amend += response => ((MetadataResponse)response).Topics.RemoveAll(t => t.ErrorCode == ErrorCode.None);
    }

    private bool MayFind(Client client, MetadataRequest.MetadataRequestTopic topic, bool mayCreate)
    {
        var name = topic.Name ?? context.Store.Find(topic.TopicId)?.Name;
        if (name is null)
            return true;
        if (!client.MayTopic(AclOperation.Describe, name))
            return false;
        return !mayCreate || context.Store.Find(name) is not null || client.MayTopic(AclOperation.Create, name) || client.MayCluster(AclOperation.Create);
    }

    private string? NameOf(DeleteTopicsRequest.DeleteTopicState topic) => topic.Name ?? context.Store.Find(topic.TopicId)?.Name;
}
