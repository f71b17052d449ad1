using Millrace.Log.Storage;
using Millrace.Log.Topics;

namespace Millrace.Log.Groups.Consumers;

/// <summary>The store's topics, as groups see them.</summary>
internal sealed class TopicCatalog(LogStore store) : ITopicCatalog
{
    public long Version => store.TopicsVersion;

    public IEnumerable<TopicShape> All => store.Topics.Select(Shape);

    public TopicShape? Find(string name) => store.Find(name) is { } topic ? Shape(topic) : null;

    public TopicShape? Find(Guid id) => store.Find(id) is { } topic ? Shape(topic) : null;

    private static TopicShape Shape(Topic topic) => new(topic.Name, topic.Id, topic.Partitions.Length);
}
