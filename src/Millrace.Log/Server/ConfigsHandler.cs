using System.Globalization;
using Millrace.Kafka.Messages;
using Millrace.Log.Topics;

namespace Millrace.Log.Server;

/// <summary>Configurations of topics, which can be changed, and of the broker, which can be read.</summary>
internal sealed class ConfigsHandler(BrokerContext context)
{
    public const sbyte SourceTopic = 1;
    public const sbyte SourceStatic = 4;
    public const sbyte SourceDefault = 5;
    private const sbyte ResourceTopic = 2;
    private const sbyte ResourceBroker = 4;

    private enum Operation : sbyte
    {
        Set = 0,
        Delete = 1,
        Append = 2,
        Subtract = 3,
    }

    public void Describe(Exchange exchange, DescribeConfigsRequest request)
    {
        var response = new DescribeConfigsResponse();
        foreach (var resource in request.Resources)
        {
            var result = new DescribeConfigsResponse.DescribeConfigsResult { ResourceType = resource.ResourceType, ResourceName = resource.ResourceName };
            response.Results.Add(result);
            switch (resource.ResourceType)
            {
                case ResourceTopic when context.Store.Find(resource.ResourceName) is { } topic:
                    DescribeTopic(topic, resource.ConfigurationKeys, request.IncludeSynonyms, result);
                    break;
                case ResourceTopic:
                    result.ErrorCode = TopicName.Check(resource.ResourceName) is { } wrong ? ErrorCode.InvalidTopic : ErrorCode.UnknownTopicOrPartition;
                    break;
                case ResourceBroker when resource.ResourceName.Length == 0 || resource.ResourceName == NodeName:
                    DescribeBroker(resource.ConfigurationKeys, request.IncludeSynonyms, result);
                    break;
                default:
                    (result.ErrorCode, result.ErrorMessage) = (ErrorCode.InvalidRequest, $"no resource of type {resource.ResourceType} named '{resource.ResourceName}'");
                    break;
            }
        }
        exchange.Complete(response);
    }

    public void Alter(Exchange exchange, AlterConfigsRequest request)
    {
        var response = new AlterConfigsResponse();
        foreach (var resource in request.Resources)
        {
            var configs = new Dictionary<string, string>();
            foreach (var config in resource.Configs)
            {
                if (config.Value is not null)
                    configs[config.Name] = config.Value;
            }
            var (error, message) = Change(resource.ResourceType, resource.ResourceName, _ => (configs, null), request.ValidateOnly);
            response.Responses.Add(new AlterConfigsResponse.AlterConfigsResourceResponse
            {
                ErrorCode = error, ErrorMessage = message, ResourceType = resource.ResourceType, ResourceName = resource.ResourceName,
            });
        }
        exchange.Complete(response);
    }

    public void AlterIncrementally(Exchange exchange, IncrementalAlterConfigsRequest request)
    {
        var response = new IncrementalAlterConfigsResponse();
        foreach (var resource in request.Resources)
        {
            var (error, message) = Change(resource.ResourceType, resource.ResourceName, old => Apply(old, resource.Configs), request.ValidateOnly);
            response.Responses.Add(new IncrementalAlterConfigsResponse.AlterConfigsResourceResponse
            {
                ErrorCode = error, ErrorMessage = message, ResourceType = resource.ResourceType, ResourceName = resource.ResourceName,
            });
        }
        exchange.Complete(response);
    }

    private string NodeName => context.Options.NodeId.ToString(CultureInfo.InvariantCulture);

    private (ErrorCode Error, string? Message) Change(
        sbyte type, string name, Func<IReadOnlyDictionary<string, string>, (Dictionary<string, string>? Configs, string? Wrong)> change, bool validateOnly)
    {
        if (type == ResourceBroker)
            return (ErrorCode.InvalidConfig, "The broker's configuration is in millrace.yaml; it cannot be changed over the protocol");
        if (type != ResourceTopic)
            return (ErrorCode.InvalidRequest, $"resource type {type} has no configuration");
        if (context.Store.Find(name) is not { } topic)
            return (ErrorCode.UnknownTopicOrPartition, null);
        if (InternalTopics.IsOurs(name))
            return (ErrorCode.PolicyViolation, InternalTopics.Refusal(name));
        var (configs, wrong) = change(topic.Configs);
        if (configs is null)
            return (ErrorCode.InvalidConfig, wrong);
        if (TopicSettings.Check(configs) is { } invalid)
            return (ErrorCode.InvalidConfig, invalid);
        if (validateOnly)
            return (ErrorCode.None, null);
        try
        {
            context.Store.Configure(topic, configs);
            return (ErrorCode.None, null);
        }
        catch (IOException error)
        {
            context.Metrics.LogTrouble($"the configuration of topic {name} could not be saved", error);
            return (ErrorCode.StorageError, error.Message);
        }
    }

    private (Dictionary<string, string>? Configs, string? Wrong) Apply(
        IReadOnlyDictionary<string, string> old, List<IncrementalAlterConfigsRequest.AlterableConfig> changes)
    {
        var configs = new Dictionary<string, string>(old);
        foreach (var change in changes)
        {
            if (TopicSettings.Find(change.Name) is not { } key)
                return (null, $"Unknown topic config name: {change.Name}");
            switch ((Operation)change.ConfigOperation)
            {
                case Operation.Delete:
                    configs.Remove(change.Name);
                    break;
                case Operation.Set when change.Value is not null:
                    configs[change.Name] = change.Value;
                    break;
                case Operation.Append or Operation.Subtract when key.Type == ConfigType.List && change.Value is not null:
                    var current = TopicSettings.ValueOf(change.Name, configs, context.Store.TopicDefaults).Split(',', StringSplitOptions.TrimEntries);
                    var items = change.Value.Split(',', StringSplitOptions.TrimEntries);
                    configs[change.Name] = string.Join(',', (Operation)change.ConfigOperation == Operation.Append ? current.Union(items) : current.Except(items));
                    break;
                default:
                    return (null, $"operation {change.ConfigOperation} cannot be applied to {change.Name}");
            }
        }
        return (configs, null);
    }

    private void DescribeTopic(Topic topic, List<string>? keys, bool synonyms, DescribeConfigsResponse.DescribeConfigsResult result)
    {
        foreach (var key in TopicSettings.AllKeys)
        {
            if (keys is not null && !keys.Contains(key.Name))
                continue;
            var source = topic.Configs.ContainsKey(key.Name) ? SourceTopic : SourceDefault;
            Add(result, key.Name, TopicSettings.ValueOf(key.Name, topic.Configs, context.Store.TopicDefaults), source, (sbyte)key.Type, key.IsFixed, synonyms);
        }
    }

    private void DescribeBroker(List<string>? keys, bool synonyms, DescribeConfigsResponse.DescribeConfigsResult result)
    {
        var options = context.Options;
        foreach (var (name, value, type) in new[]
        {
            ("broker.id", NodeName, ConfigType.Int),
            ("node.id", NodeName, ConfigType.Int),
            ("auto.create.topics.enable", options.AutoCreateTopics ? "true" : "false", ConfigType.Boolean),
            ("num.partitions", Text(options.NumPartitions), ConfigType.Int),
            ("default.replication.factor", "1", ConfigType.Int),
            ("offsets.topic.replication.factor", "1", ConfigType.Int),
            ("transaction.state.log.replication.factor", "1", ConfigType.Int),
            ("min.insync.replicas", "1", ConfigType.Int),
            ("log.retention.ms", Text(TopicSettingsDefaults.RetentionMillis(options)), ConfigType.Long),
            ("log.retention.hours", Text((long)options.Retention.TotalHours), ConfigType.Int),
            ("log.retention.bytes", Text(options.RetentionBytes), ConfigType.Long),
            ("log.segment.bytes", Text(options.SegmentBytes), ConfigType.Int),
            ("log.cleanup.policy", "delete", ConfigType.List),
            ("message.max.bytes", Text(options.MaxMessageBytes), ConfigType.Int),
            ("delete.topic.enable", "true", ConfigType.Boolean),
            ("compression.type", "producer", ConfigType.String),
            ("log.message.timestamp.type", "CreateTime", ConfigType.String),
            ("inter.broker.protocol.version", "3.8", ConfigType.String),
            ("log.dirs", options.DataFolder, ConfigType.String),
            ("group.initial.rebalance.delay.ms", Text((long)options.GroupInitialRebalanceDelay.TotalMilliseconds), ConfigType.Int),
            ("group.min.session.timeout.ms", Text((long)options.GroupMinSessionTimeout.TotalMilliseconds), ConfigType.Int),
            ("group.max.session.timeout.ms", Text((long)options.GroupMaxSessionTimeout.TotalMilliseconds), ConfigType.Int),
            ("group.max.size", Text(options.GroupMaxSize), ConfigType.Int),
            ("max.connections", Text(options.MaxConnections), ConfigType.Int),
            ("socket.request.max.bytes", Text(options.MaxFrameBytes), ConfigType.Int),
            ("fetch.max.bytes", Text(options.MaxFetchBytes), ConfigType.Int),
        })
        {
            if (keys is null || keys.Contains(name))
                Add(result, name, value, SourceStatic, (sbyte)type, true, synonyms);
        }
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static void Add(
        DescribeConfigsResponse.DescribeConfigsResult result, string name, string value, sbyte source, sbyte type, bool readOnly, bool synonyms)
    {
        var config = new DescribeConfigsResponse.DescribeConfigsResourceResult
        {
            Name = name, Value = value, ConfigSource = source, ReadOnly = readOnly, ConfigType = type,
        };
        if (synonyms)
            config.Synonyms.Add(new DescribeConfigsResponse.DescribeConfigsSynonym { Name = name, Value = value, Source = source });
        result.Configs.Add(config);
    }
}

/// <summary>The broker's options as defaults of topic settings.</summary>
internal static class TopicSettingsDefaults
{
    public static long RetentionMillis(BrokerOptions options) => options.Retention < TimeSpan.Zero ? -1 : (long)options.Retention.TotalMilliseconds;

    public static Dictionary<string, string> Of(BrokerOptions options) => new()
    {
        ["max.message.bytes"] = options.MaxMessageBytes.ToString(CultureInfo.InvariantCulture),
        ["segment.bytes"] = options.SegmentBytes.ToString(CultureInfo.InvariantCulture),
        ["retention.ms"] = RetentionMillis(options).ToString(CultureInfo.InvariantCulture),
        ["retention.bytes"] = options.RetentionBytes.ToString(CultureInfo.InvariantCulture),
    };
}
