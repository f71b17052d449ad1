using System.Globalization;
using Millrace.Kafka.Messages;
using Millrace.Log.Storage;
using Millrace.Log.Topics;

namespace Millrace.Log.Server;

/// <summary>Creating, growing and deleting topics, and deleting records.</summary>
internal sealed class TopicsHandler(BrokerContext context)
{
    /// <summary>Told of topics that are gone, so that nothing of them is kept elsewhere.</summary>
    public Action<Topic>? Deleted { get; init; }

    public void Create(Exchange exchange, CreateTopicsRequest request)
    {
        var response = new CreateTopicsResponse();
        var twice = request.Topics.GroupBy(t => t.Name).Where(g => g.Count() > 1).Select(g => g.Key).ToHashSet();
        foreach (var wanted in request.Topics)
        {
            var result = new CreateTopicsResponse.CreatableTopicResult { Name = wanted.Name };
            response.Topics.Add(result);
            if (twice.Contains(wanted.Name))
                (result.ErrorCode, result.ErrorMessage) = (ErrorCode.InvalidRequest, "Create topics request contains multiple entries for the same topic");
            else
                (result.ErrorCode, result.ErrorMessage) = Create(wanted, request.ValidateOnly, result);
        }
        exchange.Complete(response);
    }

    public void CreatePartitions(Exchange exchange, CreatePartitionsRequest request)
    {
        var response = new CreatePartitionsResponse();
        foreach (var wanted in request.Topics)
        {
            var (error, message) = Grow(wanted, request.ValidateOnly);
            response.Results.Add(new CreatePartitionsResponse.CreatePartitionsTopicResult { Name = wanted.Name, ErrorCode = error, ErrorMessage = message });
        }
        exchange.Complete(response);
    }

    public void Delete(Exchange exchange, DeleteTopicsRequest request)
    {
        var response = new DeleteTopicsResponse();
        foreach (var name in request.TopicNames)
            response.Responses.Add(Delete(name, context.Store.Find(name), default));
        foreach (var state in request.Topics)
        {
            response.Responses.Add(state.Name is { } name
                ? Delete(name, context.Store.Find(name), default)
                : Delete(null, context.Store.Find(state.TopicId), state.TopicId));
        }
        exchange.Complete(response);
    }

    /// <summary>Moves log starts, and answers when that is durable.</summary>
    public void DeleteRecords(Exchange exchange, DeleteRecordsRequest request)
    {
        var response = new DeleteRecordsResponse();
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Name);
            var results = new List<DeleteRecordsResponse.DeleteRecordsPartitionResult>(topic.Partitions.Count);
            foreach (var wanted in topic.Partitions)
            {
                var result = new DeleteRecordsResponse.DeleteRecordsPartitionResult { PartitionIndex = wanted.PartitionIndex, LowWatermark = -1 };
                results.Add(result);
                if (found?.Partition(wanted.PartitionIndex) is not { } partition)
                {
                    result.ErrorCode = ErrorCode.UnknownTopicOrPartition;
                    continue;
                }
                if (found.Settings is { Compact: true, Delete: false })
                {
                    result.ErrorCode = ErrorCode.PolicyViolation;
                    continue;
                }
                result.ErrorCode = partition.MoveLogStart(wanted.Offset == -1 ? partition.HighWatermark : wanted.Offset);
                if (result.ErrorCode == ErrorCode.None)
                {
                    result.LowWatermark = partition.LogStart;
                    context.Store.NoteLogStart(partition);
                }
            }
            response.Topics.Add(new DeleteRecordsResponse.DeleteRecordsTopicResult { Name = topic.Name, Partitions = results });
        }
        exchange.Complete(response);
    }

    private (ErrorCode Error, string? Message) Create(
        CreateTopicsRequest.CreatableTopic wanted, bool validateOnly, CreateTopicsResponse.CreatableTopicResult result)
    {
        if (TopicName.Check(wanted.Name) is { } wrongName)
            return (ErrorCode.InvalidTopic, wrongName);
        if (InternalTopics.IsOurs(wanted.Name) && context.Store.Find(wanted.Name) is null)
            return (ErrorCode.InvalidTopic, InternalTopics.Refusal(wanted.Name));
        if (context.Store.Find(wanted.Name) is not null)
            return (ErrorCode.TopicAlreadyExists, $"Topic '{wanted.Name}' already exists.");
        var partitions = wanted.NumPartitions == -1 ? context.Options.NumPartitions : wanted.NumPartitions;
        if (wanted.Assignments.Count > 0)
        {
            if (wanted.NumPartitions != -1 || wanted.ReplicationFactor != -1)
                return (ErrorCode.InvalidRequest, "Both partitions and assignments were given");
            if (wanted.Assignments.Exists(a => a.BrokerIds.Count != 1 || a.BrokerIds[0] != context.Options.NodeId))
                return (ErrorCode.InvalidReplicaAssignment, $"The only broker is {context.Options.NodeId}");
            partitions = wanted.Assignments.Count;
        }
        else if (wanted.ReplicationFactor is not (-1 or 1))
        {
            return (ErrorCode.InvalidReplicationFactor, $"Replication factor: {wanted.ReplicationFactor} larger than available brokers: 1.");
        }
        if (partitions <= 0)
            return (ErrorCode.InvalidPartitions, "Number of partitions must be larger than 0.");
        if (context.Store.PartitionCount + partitions > context.Options.MaxPartitions)
            return (ErrorCode.PolicyViolation, $"This log holds at most {context.Options.MaxPartitions} partitions (kafka: limits: partitions)");
        var configs = new Dictionary<string, string>();
        foreach (var config in wanted.Configs)
        {
            if (config.Value is not null)
                configs[config.Name] = config.Value;
        }
        if (TopicSettings.Check(configs) is { } wrongConfig)
            return (ErrorCode.InvalidConfig, wrongConfig);
        if (!validateOnly)
        {
            try
            {
                var (topic, created) = context.Store.Create(wanted.Name, partitions, configs);
                if (!created)
                    return (ErrorCode.TopicAlreadyExists, $"Topic '{wanted.Name}' already exists.");
                result.TopicId = topic.Id;
            }
            catch (IOException error)
            {
                context.Metrics.LogTrouble($"topic {wanted.Name} could not be created", error);
                return (ErrorCode.StorageError, error.Message);
            }
        }
        result.NumPartitions = partitions;
        result.ReplicationFactor = 1;
        result.Configs = [];
        foreach (var key in TopicSettings.AllKeys)
        {
            result.Configs.Add(new CreateTopicsResponse.CreatableTopicConfigs
            {
                Name = key.Name,
                Value = TopicSettings.ValueOf(key.Name, configs, context.Store.TopicDefaults),
                ConfigSource = configs.ContainsKey(key.Name) ? ConfigsHandler.SourceTopic : ConfigsHandler.SourceDefault,
            });
        }
        return (ErrorCode.None, null);
    }

    private (ErrorCode Error, string? Message) Grow(CreatePartitionsRequest.CreatePartitionsTopic wanted, bool validateOnly)
    {
        if (context.Store.Find(wanted.Name) is not { } topic)
            return (ErrorCode.UnknownTopicOrPartition, null);
        if (InternalTopics.IsOurs(wanted.Name))
            return (ErrorCode.InvalidTopic, InternalTopics.Refusal(wanted.Name));
        var has = topic.Partitions.Length;
        if (wanted.Count <= has)
        {
            return (ErrorCode.InvalidPartitions, wanted.Count == has
                ? $"Topic already has {has} partition(s)."
                : $"The topic {wanted.Name} currently has {has} partition(s); {wanted.Count} would not be an increase.");
        }
        if (wanted.Assignments is { } assignments
            && (assignments.Count != wanted.Count - has || assignments.Exists(a => a.BrokerIds.Count != 1 || a.BrokerIds[0] != context.Options.NodeId)))
        {
            return (ErrorCode.InvalidReplicaAssignment, $"The only broker is {context.Options.NodeId}");
        }
        if (context.Store.PartitionCount + wanted.Count - has > context.Options.MaxPartitions)
            return (ErrorCode.PolicyViolation, $"This log holds at most {context.Options.MaxPartitions} partitions (kafka: limits: partitions)");
        if (validateOnly)
            return (ErrorCode.None, null);
        try
        {
            context.Store.Grow(topic, wanted.Count);
            return (ErrorCode.None, null);
        }
        catch (IOException error)
        {
            context.Metrics.LogTrouble($"topic {wanted.Name} could not grow to {wanted.Count.ToString(CultureInfo.InvariantCulture)} partitions", error);
            return (ErrorCode.StorageError, error.Message);
        }
    }

    private DeleteTopicsResponse.DeletableTopicResult Delete(string? name, Topic? topic, Guid id)
    {
        var result = new DeleteTopicsResponse.DeletableTopicResult { Name = topic?.Name ?? name, TopicId = topic?.Id ?? id };
        if (topic is null)
            result.ErrorCode = name is null ? ErrorCode.UnknownTopicId : ErrorCode.UnknownTopicOrPartition;
        else if (InternalTopics.IsOurs(topic.Name))
            (result.ErrorCode, result.ErrorMessage) = (ErrorCode.InvalidTopic, InternalTopics.Refusal(topic.Name));
        else
            (result.ErrorCode, result.ErrorMessage) = DeleteDurably(topic);
        return result;
    }

    private (ErrorCode Error, string? Message) DeleteDurably(Topic topic)
    {
        try
        {
            context.Store.Delete(topic);
            Deleted?.Invoke(topic);
            return (ErrorCode.None, null);
        }
        catch (IOException error)
        {
            context.Metrics.LogTrouble($"topic {topic.Name} could not be deleted", error);
            return (ErrorCode.StorageError, error.Message);
        }
    }
}
