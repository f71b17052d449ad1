using System.Globalization;
using System.Net;
using Millrace.Coordination.Node;
using Millrace.Iceberg.Maintenance;
using Millrace.Coordination.Sessions;
using Millrace.Raft.Consensus;
using Millrace.Raft.Transport;

namespace Millrace.Host.Settings;

/// <summary>What <c>millrace.yaml</c>, environment and options settle. Every value has a default; loopback everywhere.</summary>
internal sealed record PlatformSettings
{
    /// <summary>The folder for all that is kept: the log, tables, state, jobs.</summary>
    public string Data { get; init; } =
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".millrace");

    public ListenerSettings Kafka { get; init; } = new(IPAddress.Loopback, 9092);

    public ListenerSettings Http { get; init; } = new(IPAddress.Loopback, 8080);

    /// <summary>Whether the HTTP port asks for a user of the Kafka port; null: as <see cref="HttpSettings"/> says.</summary>
    public bool? HttpLogin { get; init; }

    /// <summary>Whether it speaks TLS, with the Kafka port's certificate.</summary>
    public bool HttpTls { get; init; }

    /// <summary>Where the HTTP port is, as clients on this machine reach it.</summary>
    public Uri HttpAddress => new($"{(HttpTls ? "https" : "http")}://{Http}");

    public ListenerSettings Postgres { get; init; } = new(IPAddress.Loopback, 5433);

    /// <summary>The member of the coordination store that runs in this process; null for none.</summary>
    public CoordinationSettings? Coordination { get; init; } = new();

    /// <summary>Brokers of <c>kafka:</c> endpoints; null means the embedded log.</summary>
    public string? Brokers { get; init; }

    /// <summary>Security, quotas and limits of the Kafka port.</summary>
    public KafkaServerSettings KafkaServer { get; init; } = new();

    /// <summary>librdkafka's settings of clients, for <see cref="Brokers"/> and for commands. Secrets: never logged.</summary>
    public IReadOnlyDictionary<string, string> Client { get; init; } = new Dictionary<string, string>();

    /// <summary>The schema registry of Avro sources; null means the embedded one. May carry credentials: never logged.</summary>
    public Uri? Registry { get; init; }

    public QuerySettings Query { get; init; } = new();

    /// <summary>How tables are kept in shape where neither sink nor table says.</summary>
    public UpkeepOptions Tables { get; init; } = new();

    /// <summary>Alert targets by name, e.g. <c>slack:ops</c> → webhook address. Addresses are secrets: never logged.</summary>
    public IReadOnlyDictionary<string, Uri> Targets { get; init; } = new Dictionary<string, Uri>();

    /// <summary>When somebody is told that consumer groups of the embedded log are behind; null: never.</summary>
    public LagAlertSettings? LagAlert { get; init; }

    /// <summary>The file that was read, or null.</summary>
    public string? File { get; init; }

    public string BrokersOrOwn => Brokers ?? Kafka.ToString();

    public Uri RegistryOrOwn => Registry ?? new Uri(HttpAddress, "/schema-registry");
}

/// <summary>When a group's lag is told, and to whom.</summary>
/// <param name="Over">Records, over all partitions of the group.</param>
/// <param name="For">So long without a break.</param>
/// <param name="To"><c>log</c>, or a name among the targets.</param>
internal sealed record LagAlertSettings(long Over, TimeSpan For, string To);

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

/// <summary>One member of the coordination store: alone, or one of several.</summary>
internal sealed record CoordinationSettings
{
    /// <summary>For clients of etcd's API.</summary>
    public ListenerSettings Listener { get; init; } = new(IPAddress.Loopback, 2379);

    /// <summary>This member's name, among <see cref="Members"/> when there are any.</summary>
    public string Name { get; init; } = "default";

    /// <summary>All first members, by name, host and the port for members; empty for one alone.</summary>
    public IReadOnlyList<CoordinationMember> Members { get; init; } = [];

    /// <summary>The group runs already and has added this member.</summary>
    public bool IsJoining { get; init; }

    public ReadMode Reads { get; init; } = ReadMode.Index;

    public ConsensusAlgorithm Consensus { get; init; }

    /// <summary>Writes are run before they are committed, unseen until then.</summary>
    public bool Speculates { get; init; }

    public SessionQuorum Sessions { get; init; } = new();

    /// <summary>An outer store with etcd's API, etcd's own for one; empty: the one in this process.</summary>
    public IReadOnlyList<Uri> Endpoints { get; init; } = [];

    /// <summary>Of the port for clients; with <see cref="Endpoints"/> what this process proves to them and trusts.</summary>
    public TlsFiles? Tls { get; init; }

    public TlsFiles? PeerTls { get; init; }

    /// <summary>Where clients of the store go.</summary>
    public IReadOnlyList<Uri> Addresses => Endpoints.Count > 0 ? Endpoints : [new Uri($"{(Tls is null ? "http" : "https")}://{Listener}")];

    public CoordinationOptions Options(string dataFolder) => new()
    {
        DataFolder = dataFolder, Name = Name, Members = Members, IsJoining = IsJoining, Address = Listener.Address, ClientPort = Listener.Port,
        PeerPort = Members.FirstOrDefault(m => m.Name == Name)?.PeerPort ?? -1, Reads = Reads, Consensus = Consensus, Sessions = Sessions,
        Speculates = Speculates, ClientTls = Tls, PeerTls = PeerTls, AdvertisedClientUrl = $"{(Tls is null ? "http" : "https")}://{Listener}",
    };
}
