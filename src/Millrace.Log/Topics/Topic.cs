using Millrace.Log.Storage;

namespace Millrace.Log.Topics;

/// <summary>A topic: its partitions and what is configured. Its members are replaced whole, so readers need no lock.</summary>
internal sealed class Topic
{
    private volatile Partition[] _partitions = [];
    private volatile TopicSettings _settings;

    public Topic(string name, Guid id, string folder, IReadOnlyDictionary<string, string> configs, IReadOnlyDictionary<string, string> defaults)
    {
        Name = name;
        Id = id;
        Folder = folder;
        Configs = configs;
        _settings = TopicSettings.Parse(configs, defaults);
    }

    public string Name { get; }

    public Guid Id { get; }

    public string Folder { get; }

    public bool IsInternal => TopicName.IsInternal(Name);

    /// <summary>What has been set on the topic itself.</summary>
    public IReadOnlyDictionary<string, string> Configs { get; private set; }

    public TopicSettings Settings => _settings;

    public Partition[] Partitions => _partitions;

    public Partition? Partition(int index)
    {
        var partitions = _partitions;
        return (uint)index < (uint)partitions.Length ? partitions[index] : null;
    }

    public void SetPartitions(Partition[] partitions) => _partitions = partitions;

    public void SetConfigs(IReadOnlyDictionary<string, string> configs, IReadOnlyDictionary<string, string> defaults)
    {
        Configs = configs;
        _settings = TopicSettings.Parse(configs, defaults);
    }
}
