using System.Net.Security;

namespace Millrace.Log.Security;

/// <summary>Who may connect and what they may do; a broker without it trusts everyone that reaches it.</summary>
public sealed record BrokerSecurity
{
    public const string Plain = "PLAIN";
    public const string ScramSha256 = "SCRAM-SHA-256";
    public const string ScramSha512 = "SCRAM-SHA-512";

    /// <summary>All mechanisms that can be turned on.</summary>
    public static readonly IReadOnlyList<string> AllMechanisms = [ScramSha256, ScramSha512, Plain];

    /// <summary>The certificate and its chain; null speaks in the clear.</summary>
    public SslStreamCertificateContext? Certificate { get; init; }

    /// <summary>Which certificates clients show; null asks for none. Only with <see cref="Certificate"/>.</summary>
    public ClientCertificates? Clients { get; init; }

    /// <summary>Decisions by rules that are remembered until the rules change.</summary>
    public int MaxRememberedDecisions { get; init; } = 100_000;

    /// <summary>SASL mechanisms; none lets clients in without a login, as <c>User:ANONYMOUS</c>.</summary>
    public IReadOnlyList<string> Mechanisms { get; init; } = [];

    /// <summary>Users that may do everything.</summary>
    public IReadOnlyList<string> SuperUsers { get; init; } = [];

    /// <summary>Whether ACLs are kept.</summary>
    public bool Authorize { get; init; } = true;

    /// <summary>Whether everyone may do everything with what has no ACL at all.</summary>
    public bool AllowWithoutAcl { get; init; }

    /// <summary>The user of this process's own clients: a super user that is in no file.</summary>
    public OwnUser? Own { get; init; }

    /// <summary>A failed login is answered so much later.</summary>
    public TimeSpan FailedLoginDelay { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>A client that does not finish its handshake and login in this time is closed.</summary>
    public TimeSpan LoginTimeout { get; init; } = TimeSpan.FromSeconds(15);
}

/// <param name="Password">Made anew at every start.</param>
public sealed record OwnUser(string Name, string Password)
{
    public override string ToString() => Name;
}

/// <summary>A rate that clients may not pass.</summary>
/// <param name="User">A user's name, <see cref="Default"/> for each user that has none of its own, or null for any.</param>
/// <param name="ClientId">Likewise.</param>
/// <param name="Kind">What is counted.</param>
/// <param name="PerSecond">Bytes or requests.</param>
public sealed record ClientQuota(string? User, string? ClientId, QuotaKind Kind, double PerSecond)
{
    public const string Default = "<default>";
}

public enum QuotaKind
{
    /// <summary>Bytes of Produce requests.</summary>
    ProducerBytes,

    /// <summary>Bytes of records in Fetch answers.</summary>
    ConsumerBytes,

    /// <summary>Requests of any kind.</summary>
    Requests,
}
