using Millrace.Iceberg.Rest;
using Millrace.Schemas;

namespace Millrace.WebConsole.Seams;

/// <summary>What the rooms below give to the console. Every member is thread-safe.</summary>
public sealed record ConsoleServices
{
    public required IJobs Jobs { get; init; }

    public required ITopics Topics { get; init; }

    public required ITables Tables { get; init; }

    public required ISql Sql { get; init; }

    public required IProcess Process { get; init; }

    /// <summary>The REST catalog to serve under /iceberg, if any.</summary>
    public RestCatalog? Iceberg { get; init; }

    /// <summary>The schema registry to serve under /schema-registry and at the root, if any.</summary>
    public RegistryApi? Schemas { get; init; }

    /// <summary>The coordination store's member of this process, if any.</summary>
    public ICluster? Cluster { get; init; }

    /// <summary>Sessions on the coordination store's members, if one runs in this process.</summary>
    public ISessions? Sessions { get; init; }

    /// <summary>Users of the Kafka port, if there is one.</summary>
    public IUsers? Users { get; init; }

    /// <summary>Who may use this port; null: whoever reaches it.</summary>
    public IAccess? Access { get; init; }

    /// <summary>False with a reason while the platform is not ready to serve.</summary>
    public Func<Readiness> Ready { get; init; } = static () => new Readiness(true, null);
}

/// <param name="Reason">What is missing when not ready.</param>
public sealed record Readiness(bool Ready, string? Reason);

/// <summary>The user's mistake or the platform's refusal in a request: becomes a problem answer with this status.</summary>
public sealed class ConsoleException(int status, string title, string detail, string? hint = null) : Exception(detail)
{
    public int Status => status;

    public string Title => title;

    public string? Hint => hint;
}
