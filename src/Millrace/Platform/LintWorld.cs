using Millrace.Host.Settings;
using Millrace.Kafka.Clients;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;

namespace Millrace.Host.Platform;

/// <summary>What the linter knows of this installation: brokers and alert targets.</summary>
internal static class LintWorld
{
    private const int SampledRecords = 1000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Values of a topic's newest records.</summary>
    /// <exception cref="KafkaClientException">The topic does not exist or no broker answers.</exception>
    public static TopicSample Sample(TopicAddress address, TimeProvider time, int most = SampledRecords)
    {
        using var reader = new TopicReader(address.Brokers, Patience, time);
        return new TopicSample([.. reader.Newest(address.Topic, most).Where(r => r.Value is not null).Select(r => r.Value!)]);
    }

    public static LintContext Of(PlatformSettings settings) => new()
    {
        Brokers = settings.BrokersOrOwn,
        Targets = settings.Targets.ToDictionary(t => t.Key, t => (AlertTarget)new AlertTarget.Webhook(t.Key, t.Value)),
    };
}
