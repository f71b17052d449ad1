using System.Net;

namespace Millrace.Query.Wire;

/// <summary>Where and how the PostgreSQL port listens.</summary>
public sealed record PostgresOptions
{
    /// <summary>Without a password, only loopback addresses are taken.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>0 takes a free one.</summary>
    public int Port { get; init; } = 5433;

    /// <summary>Connections at the same time; more are refused with 53300.</summary>
    public int MaxConnections { get; init; } = 100;

    /// <summary>Who may connect; null for anyone.</summary>
    public string? User { get; init; }

    /// <summary>Asked for by SCRAM-SHA-256 when set.</summary>
    public string? Password { get; init; }

    /// <summary>Bytes of one message from a client.</summary>
    public int MaxMessageBytes { get; init; } = 16 << 20;

    /// <summary>Bytes of rows that are gathered before they are sent.</summary>
    public int SendBytes { get; init; } = 64 * 1024;

    /// <summary>How long a client may take from connecting to being ready.</summary>
    public TimeSpan StartupTimeout { get; init; } = TimeSpan.FromSeconds(10);
}
