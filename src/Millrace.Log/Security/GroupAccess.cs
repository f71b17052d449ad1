using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;

namespace Millrace.Log.Security;

/// <summary>Requests about groups, their offsets and transactions.</summary>
internal sealed class GroupAccess
{
    private const ErrorCode GroupDenied = ErrorCode.GroupAuthorizationFailed;
    private const ErrorCode TransactionDenied = ErrorCode.TransactionalIdAuthorizationFailed;

    public bool Apply(Client client, IWireStruct request) =>
        ApplyMembership(client, request) || ApplyOffsets(client, request) || ApplyTransactions(client, request);

    private static bool ApplyMembership(Client client, IWireStruct request)
    {
        switch (request)
        {
            case FindCoordinatorRequest find:
                FindCoordinator(client, find);
                return true;
            case JoinGroupRequest join:
                Require(client.MayGroup(AclOperation.Read, join.GroupId), () => new JoinGroupResponse { ErrorCode = GroupDenied });
                return true;
            case SyncGroupRequest sync:
                Require(client.MayGroup(AclOperation.Read, sync.GroupId), () => new SyncGroupResponse { ErrorCode = GroupDenied });
                return true;
            case HeartbeatRequest beat:
                Require(client.MayGroup(AclOperation.Read, beat.GroupId), () => new HeartbeatResponse { ErrorCode = GroupDenied });
                return true;
            case LeaveGroupRequest leave:
                Require(client.MayGroup(AclOperation.Read, leave.GroupId), () => new LeaveGroupResponse { ErrorCode = GroupDenied });
                return true;
            case ConsumerGroupHeartbeatRequest beat:
                Require(client.MayGroup(AclOperation.Read, beat.GroupId), () => new ConsumerGroupHeartbeatResponse { ErrorCode = GroupDenied });
                Require(
                    beat.SubscribedTopicNames?.TrueForAll(t => client.MayTopic(AclOperation.Describe, t)) ?? true,
                    () => new ConsumerGroupHeartbeatResponse { ErrorCode = ErrorCode.TopicAuthorizationFailed });
                return true;
            case DescribeGroupsRequest describe:
                client.Refuse<string, DescribeGroupsResponse>(
                    describe.Groups, g => client.MayGroup(AclOperation.Describe, g), (response, denied) => response.Groups.AddRange(denied.ConvertAll(
                        g => new DescribeGroupsResponse.DescribedGroup { GroupId = g, ErrorCode = GroupDenied })));
                return true;
            case ConsumerGroupDescribeRequest describe:
                client.Refuse<string, ConsumerGroupDescribeResponse>(
                    describe.GroupIds, g => client.MayGroup(AclOperation.Describe, g), (response, denied) => response.Groups.AddRange(denied.ConvertAll(
                        g => new ConsumerGroupDescribeResponse.DescribedGroup { GroupId = g, ErrorCode = GroupDenied })));
                return true;
            case ListGroupsRequest when !client.MayCluster(AclOperation.Describe):
                client.Exchange.Amend += response => ((ListGroupsResponse)response).Groups.RemoveAll(g => !client.MayGroup(AclOperation.Describe, g.GroupId));
                return true;
            case DeleteGroupsRequest delete:
                client.Refuse<string, DeleteGroupsResponse>(
                    delete.GroupsNames, g => client.MayGroup(AclOperation.Delete, g), (response, denied) => response.Results.AddRange(denied.ConvertAll(
                        g => new DeleteGroupsResponse.DeletableGroupResult { GroupId = g, ErrorCode = GroupDenied })));
                return true;
            default:
                return false;
        }
    }

    private static void FindCoordinator(Client client, FindCoordinatorRequest find)
    {
        bool May(string key) => find.KeyType == 1 ? client.MayTransaction(AclOperation.Describe, key) : client.MayGroup(AclOperation.Describe, key);
        var error = find.KeyType == 1 ? TransactionDenied : GroupDenied;
        if (client.Exchange.Version < 4)
        {
            Require(May(find.Key), () => new FindCoordinatorResponse { ErrorCode = error, NodeId = -1, Port = -1 });
            return;
        }
        client.Refuse<string, FindCoordinatorResponse>(find.CoordinatorKeys, May, (response, denied) => response.Coordinators.AddRange(denied.ConvertAll(
            k => new FindCoordinatorResponse.Coordinator { Key = k, NodeId = -1, Port = -1, ErrorCode = error })));
    }

    private static bool ApplyOffsets(Client client, IWireStruct request)
    {
        switch (request)
        {
            case OffsetCommitRequest commit:
                var commitError = client.MayGroup(AclOperation.Read, commit.GroupId) ? ErrorCode.TopicAuthorizationFailed : GroupDenied;
                OffsetCommitResponse.OffsetCommitResponseTopic Refused(OffsetCommitRequest.OffsetCommitRequestTopic t) => new()
                {
                    Name = t.Name,
                    Partitions = t.Partitions.ConvertAll(p => new OffsetCommitResponse.OffsetCommitResponsePartition { PartitionIndex = p.PartitionIndex, ErrorCode = commitError }),
                };
                Require(commitError != GroupDenied, () => new OffsetCommitResponse { Topics = commit.Topics.ConvertAll(Refused) });
                client.Refuse<OffsetCommitRequest.OffsetCommitRequestTopic, OffsetCommitResponse>(
                    commit.Topics, t => client.MayTopic(AclOperation.Read, t.Name), (response, denied) => response.Topics.AddRange(denied.ConvertAll(Refused)));
                return true;
            case OffsetFetchRequest fetch when client.Exchange.Version < 8:
                OffsetFetch(client, fetch);
                return true;
            case OffsetFetchRequest fetch:
                OffsetFetchGroups(client, fetch);
                return true;
            case OffsetDeleteRequest delete:
                Require(client.MayGroup(AclOperation.Delete, delete.GroupId), () => new OffsetDeleteResponse { ErrorCode = GroupDenied });
                client.Refuse<OffsetDeleteRequest.OffsetDeleteRequestTopic, OffsetDeleteResponse>(
                    delete.Topics, t => client.MayTopic(AclOperation.Read, t.Name), (response, denied) => response.Topics.AddRange(denied.ConvertAll(
                        t => new OffsetDeleteResponse.OffsetDeleteResponseTopic
                        {
                            Name = t.Name,
                            Partitions = t.Partitions.ConvertAll(p => new OffsetDeleteResponse.OffsetDeleteResponsePartition { PartitionIndex = p.PartitionIndex, ErrorCode = ErrorCode.TopicAuthorizationFailed }),
                        })));
                return true;
            default:
                return false;
        }
    }

    private static void OffsetFetch(Client client, OffsetFetchRequest fetch)
    {
        OffsetFetchResponse.OffsetFetchResponseTopic Refused(OffsetFetchRequest.OffsetFetchRequestTopic t, ErrorCode error) => new()
        {
            Name = t.Name,
            Partitions = t.PartitionIndexes.ConvertAll(p => new OffsetFetchResponse.OffsetFetchResponsePartition { PartitionIndex = p, CommittedOffset = -1, Metadata = "", ErrorCode = error }),
        };
        Require(client.MayGroup(AclOperation.Describe, fetch.GroupId), () => new OffsetFetchResponse
        {
            // Before version 2 there is no error of the whole.
            ErrorCode = GroupDenied, Topics = fetch.Topics?.ConvertAll(t => Refused(t, GroupDenied)) ?? [],
        });
        if (fetch.Topics is null)
        {
            client.Exchange.Amend += response => ((OffsetFetchResponse)response).Topics.RemoveAll(t => !client.MayTopic(AclOperation.Describe, t.Name));
            return;
        }
        client.Refuse<OffsetFetchRequest.OffsetFetchRequestTopic, OffsetFetchResponse>(
            fetch.Topics, t => client.MayTopic(AclOperation.Describe, t.Name),
            (response, denied) => response.Topics.AddRange(denied.ConvertAll(t => Refused(t, ErrorCode.TopicAuthorizationFailed))));
    }

    private static void OffsetFetchGroups(Client client, OffsetFetchRequest fetch)
    {
        client.Refuse<OffsetFetchRequest.OffsetFetchRequestGroup, OffsetFetchResponse>(
            fetch.Groups, g => client.MayGroup(AclOperation.Describe, g.GroupId), (response, denied) => response.Groups.AddRange(denied.ConvertAll(
                g => new OffsetFetchResponse.OffsetFetchResponseGroup { GroupId = g.GroupId, ErrorCode = GroupDenied })));
        // Topics of an allowed group that may not be seen: told as denied where asked for by name, left away where not.
        // A group may stand there twice.
        var asked = fetch.Groups.GroupBy(g => g.GroupId, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.All(r => r.Topics is not null), StringComparer.Ordinal);
        client.Exchange.Amend += response =>
        {
            foreach (var group in ((OffsetFetchResponse)response).Groups)
            {
                if (!asked.GetValueOrDefault(group.GroupId))
                    group.Topics.RemoveAll(t => !client.MayTopic(AclOperation.Describe, t.Name));
                foreach (var topic in group.Topics.Where(t => !client.MayTopic(AclOperation.Describe, t.Name)))
                {
                    topic.Partitions = topic.Partitions.ConvertAll(p => new OffsetFetchResponse.OffsetFetchResponsePartitions
                    {
                        PartitionIndex = p.PartitionIndex, CommittedOffset = -1, Metadata = "", ErrorCode = ErrorCode.TopicAuthorizationFailed,
                    });
                }
            }
        };
    }

    private static bool ApplyTransactions(Client client, IWireStruct request)
    {
        switch (request)
        {
            case InitProducerIdRequest init:
                Require(
                    init.TransactionalId is { } id ? client.MayTransaction(AclOperation.Write, id) : client.MayWriteSome(),
                    () => new InitProducerIdResponse { ErrorCode = init.TransactionalId is null ? ErrorCode.ClusterAuthorizationFailed : TransactionDenied });
                return true;
            case AddPartitionsToTxnRequest add:
                AddPartitions(client, add);
                return true;
            case AddOffsetsToTxnRequest add:
                Require(client.MayTransaction(AclOperation.Write, add.TransactionalId), () => new AddOffsetsToTxnResponse { ErrorCode = TransactionDenied });
                Require(client.MayGroup(AclOperation.Read, add.GroupId), () => new AddOffsetsToTxnResponse { ErrorCode = GroupDenied });
                return true;
            case EndTxnRequest end:
                Require(client.MayTransaction(AclOperation.Write, end.TransactionalId), () => new EndTxnResponse { ErrorCode = TransactionDenied });
                return true;
            case TxnOffsetCommitRequest commit:
                TxnOffsetCommit(client, commit);
                return true;
            case DescribeTransactionsRequest describe:
                client.Refuse<string, DescribeTransactionsResponse>(
                    describe.TransactionalIds, t => client.MayTransaction(AclOperation.Describe, t), (response, denied) => response.TransactionStates.AddRange(denied.ConvertAll(
                        t => new DescribeTransactionsResponse.TransactionEntry { TransactionalId = t, ErrorCode = TransactionDenied })));
                return true;
            case ListTransactionsRequest:
                client.Exchange.Amend += response => ((ListTransactionsResponse)response).TransactionStates.RemoveAll(
                    t => !client.MayTransaction(AclOperation.Describe, t.TransactionalId));
                return true;
            case WriteTxnMarkersRequest when !client.MayCluster(AclOperation.ClusterAction):
                throw new WireFormatException("transaction markers are for other brokers to write, and this client is none");
            default:
                return false;
        }
    }

    private static void AddPartitions(Client client, AddPartitionsToTxnRequest add)
    {
        var all = client.MayTransaction(AclOperation.Write, add.TransactionalId);
        var allowed = add.Topics.Select(t => t.Name).Distinct(StringComparer.Ordinal).ToDictionary(t => t, t => client.MayTopic(AclOperation.Write, t), StringComparer.Ordinal);
        Require(all && !allowed.ContainsValue(false), () => new AddPartitionsToTxnResponse
        {
            ResultsByTopic = add.Topics.ConvertAll(t => new AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult
            {
                Name = t.Name,
                ResultsByPartition = t.Partitions.ConvertAll(p => new AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult
                {
                    PartitionIndex = p,
                    ErrorCode = !all ? TransactionDenied : allowed[t.Name] ? ErrorCode.OperationNotAttempted : ErrorCode.TopicAuthorizationFailed,
                }),
            }),
        });
    }

    private static void TxnOffsetCommit(Client client, TxnOffsetCommitRequest commit)
    {
        TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic Refused(TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic t, ErrorCode error) => new()
        {
            Name = t.Name,
            Partitions = t.Partitions.ConvertAll(p => new TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition { PartitionIndex = p.PartitionIndex, ErrorCode = error }),
        };
        Require(
            client.MayTransaction(AclOperation.Write, commit.TransactionalId),
            () => new TxnOffsetCommitResponse { Topics = commit.Topics.ConvertAll(t => Refused(t, TransactionDenied)) });
        Require(
            client.MayGroup(AclOperation.Read, commit.GroupId), () => new TxnOffsetCommitResponse { Topics = commit.Topics.ConvertAll(t => Refused(t, GroupDenied)) });
        client.Refuse<TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse>(
            commit.Topics, t => client.MayTopic(AclOperation.Read, t.Name),
            (response, denied) => response.Topics.AddRange(denied.ConvertAll(t => Refused(t, ErrorCode.TopicAuthorizationFailed))));
    }

    private static void Require(bool allowed, Func<IWireStruct> refusal)
    {
        if (!allowed)
            throw new AccessDeniedException(refusal());
    }
}
