using System.Globalization;
using System.Net;

namespace Millrace.Host.Settings;

/// <summary>What <c>millrace.yaml</c>, environment and options settle. Every value has a default; loopback everywhere.</summary>
internal sealed record PlatformSettings
{
    /// <summary>The folder for all that is kept: the log, tables, state, jobs.</summary>
    public string Data { get; init; } =
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".millrace");

    public ListenerSettings Kafka { get; init; } = new(IPAddress.Loopback, 9092);

    public ListenerSettings Http { get; init; } = new(IPAddress.Loopback, 8080);

    public ListenerSettings Postgres { get; init; } = new(IPAddress.Loopback, 5433);

    /// <summary>Brokers of <c>kafka:</c> endpoints; null means the embedded log.</summary>
    public string? Brokers { get; init; }

    public QuerySettings Query { get; init; } = new();

    /// <summary>Alert targets by name, e.g. <c>slack:ops</c> → webhook address. Addresses are secrets: never logged.</summary>
    public IReadOnlyDictionary<string, Uri> Targets { get; init; } = new Dictionary<string, Uri>();

    /// <summary>The file that was read, or null.</summary>
    public string? File { get; init; }

    public string BrokersOrOwn => Brokers ?? Kafka.ToString();
}

/// <summary>Where one protocol listens.</summary>
internal sealed record ListenerSettings(IPAddress Address, int Port)
{
    /// <summary>The address as clients reach it: an any-address is shown as loopback.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{(Address.Equals(IPAddress.Any) || Address.Equals(IPAddress.IPv6Any) ? IPAddress.Loopback : Address)}:{Port}");
}

/// <summary>Caps of SQL statements.</summary>
internal sealed record QuerySettings
{
    public long MemoryBytes { get; init; } = 1L << 30;

    public long SpillBytes { get; init; } = 8L << 30;

    public int Threads { get; init; } = Math.Clamp(Environment.ProcessorCount, 1, 16);

    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(1);
}
