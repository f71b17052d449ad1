using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;
using Millrace.Host.Settings;
using Millrace.Kafka.Clients;
using Millrace.Pipelines.Linting;
using Millrace.Schemas;
using Millrace.Streams.Plans;

namespace Millrace.Host.Platform;

/// <summary>What the linter knows of this installation: brokers and alert targets.</summary>
internal static class LintWorld
{
    private const int SampledRecords = 1000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Values of a topic's newest records.</summary>
    /// <exception cref="KafkaClientException">The topic does not exist or no broker answers.</exception>
    public static TopicSample Sample(TopicAddress address, TimeProvider time, IReadOnlyDictionary<string, string> login, int most = SampledRecords)
    {
        using var reader = new TopicReader(address.Brokers, Patience, time, login);
        return new TopicSample([.. reader.Newest(address.Topic, most).Where(r => r.Value is not null).Select(r => r.Value!)]);
    }

    /// <summary>The newest version of a subject, or why there is none.</summary>
    public static SubjectSample Subject(SubjectAddress address, IReadOnlyDictionary<string, string>? login = null)
    {
        using var registry = new RegistryClient(address.Registry, Patience, login);
        try
        {
            return new SubjectSample(
                registry.Newest(address.Subject), $"subject '{address.Subject}' is not in the registry at {registry.Address}");
        }
        catch (RegistryUnreachableException problem)
        {
            return new SubjectSample(null, problem.Message, Unreachable: true);
        }
    }

    /// <summary>A table as it is; null when there is none. One that cannot be read is told of by the job that writes to it.</summary>
    public static TableMetadata? Table(FolderCatalog catalog, string space, string table)
    {
        try
        {
            var ident = new TableIdent(Namespace.Parse(space), table);
            return catalog.TableExists(ident) ? catalog.LoadTable(ident).Metadata : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    public static LintContext Of(PlatformSettings settings) => new()
    {
        Brokers = settings.BrokersOrOwn,
        Registry = settings.RegistryOrOwn,
        Targets = settings.Targets.ToDictionary(t => t.Key, t => (AlertTarget)new AlertTarget.Webhook(t.Key, t.Value)),
    };
}
