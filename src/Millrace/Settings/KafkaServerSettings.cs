using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Millrace.Log;
using Millrace.Log.Security;
using Millrace.Raft.Transport;
using Millrace.Schemas;
using YamlDotNet.RepresentationModel;

namespace Millrace.Host.Settings;

/// <summary>What stands under <c>kafka:</c> beside where it listens.</summary>
internal sealed record KafkaServerSettings
{
    /// <summary>The host that clients are told to connect to.</summary>
    public string? Advertised { get; init; }

    public KafkaSecuritySettings? Security { get; init; }

    public IReadOnlyList<ClientQuota> Quotas { get; init; } = [];

    /// <summary>What <c>limits:</c> and <c>defaults:</c> say; where it listens and keeps its data is not in it.</summary>
    public BrokerOptions Options { get; init; } = new() { DataFolder = "" };
}

/// <summary><c>kafka: security:</c> as written.</summary>
internal sealed record KafkaSecuritySettings
{
    /// <summary>PEM files; null speaks in the clear.</summary>
    public string? Certificate { get; init; }

    public string? Key { get; init; }

    /// <summary>PEM file of who signs clients' certificates; null asks clients for none.</summary>
    public string? ClientAuthorities { get; init; }

    /// <summary>Whether a client without a certificate is let in.</summary>
    public bool ClientCertificateOptional { get; init; }

    public PrincipalNames PrincipalNames { get; init; } = PrincipalNames.WholeSubject;

    public IReadOnlyList<string> Sasl { get; init; } = [];

    public IReadOnlyList<string> SuperUsers { get; init; } = [];

    /// <summary>Null: where there is a login.</summary>
    public bool? Acls { get; init; }

    public bool AllowWithoutAcl { get; init; }

    /// <summary>As the broker takes it, with a user for this process's own clients.</summary>
    /// <exception cref="IOException">The certificate or its key cannot be used; the message says which.</exception>
    public BrokerSecurity ToBroker() => new()
    {
        Clients = ClientAuthorities is null ? null : LoadClients(ClientAuthorities),
        Certificate = Certificate is null ? null : LoadCertificate(Certificate, Key ?? Certificate),
        Mechanisms = Sasl,
        SuperUsers = SuperUsers,
        Authorize = Acls ?? (Sasl.Count > 0 || ClientAuthorities is not null),
        AllowWithoutAcl = AllowWithoutAcl,
        Own = new OwnUser("millrace-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4)), Convert.ToBase64String(RandomNumberGenerator.GetBytes(24))),
    };

    /// <summary>How this process's own clients connect.</summary>
    public static IReadOnlyDictionary<string, string> OwnLogin(BrokerSecurity security)
    {
        var tls = security.Certificate is not null;
        var login = security.Mechanisms.Count > 0;
        var settings = new Dictionary<string, string>
        {
            ["security.protocol"] = (tls, login) switch
            {
                (true, true) => "SASL_SSL",
                (true, false) => "SSL",
                (false, true) => "SASL_PLAINTEXT",
                _ => "PLAINTEXT",
            },
        };
        // It is our own port on this machine, whatever name the certificate has; with SCRAM the broker proves itself as well.
        if (tls)
            settings["enable.ssl.certificate.verification"] = "false";
        if (security.Clients?.Own is { } own)
        {
            settings["ssl.certificate.pem"] = own.ExportCertificatePem();
            using var key = own.GetECDsaPrivateKey()!;
            settings["ssl.key.pem"] = key.ExportPkcs8PrivateKeyPem();
        }
        if (login)
        {
            settings["sasl.mechanisms"] = security.Mechanisms.FirstOrDefault(m => m != BrokerSecurity.Plain) ?? BrokerSecurity.Plain;
            settings["sasl.username"] = security.Own!.Name;
            settings["sasl.password"] = security.Own.Password;
        }
        return settings;
    }

    /// <summary>How this process's own clients use its HTTP port, whether that asks for a login or not.</summary>
    public static IReadOnlyDictionary<string, string> OwnHttpLogin(BrokerSecurity security) => new Dictionary<string, string>
    {
        ["basic.auth.user.info"] = $"{security.Own!.Name}:{security.Own.Password}",
        [HttpTrust.PinnedCertificate] = security.Certificate?.TargetCertificate.GetCertHashString(HashAlgorithmName.SHA256) ?? "",
    };

    private ClientCertificates LoadClients(string file)
    {
        if (!File.Exists(file))
            throw new IOException($"kafka.security: there is no file '{file}'");
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPemFile(file);
        }
        catch (CryptographicException error)
        {
            throw new IOException($"kafka.security: {file} holds no certificates in PEM form: {error.Message}", error);
        }
        if (authorities.Count == 0)
            throw new IOException($"kafka.security: {file} holds no certificate in PEM form");
        return new ClientCertificates(authorities, !ClientCertificateOptional, PrincipalNames) { Own = OwnCertificate() };
    }

    // Nobody signs it and nobody else has its key: the broker knows it by its bytes. It lives as long as the process.
    private static X509Certificate2 OwnCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=millrace", key, HashAlgorithmName.SHA256);
        var now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddDays(-1), now.AddYears(100));
    }

    private static SslStreamCertificateContext LoadCertificate(string certificate, string key)
    {
        foreach (var file in new[] { certificate, key })
        {
            if (!File.Exists(file))
                throw new IOException($"kafka.security: there is no file '{file}'");
        }
        try
        {
            return TlsIdentity.LoadCertificate(certificate, key);
        }
        catch (CryptographicException error)
        {
            throw new IOException($"kafka.security: {certificate} and {key} are no certificate with its key in PEM form: {error.Message}", error);
        }
    }
}

/// <summary>Reads what stands under <c>kafka:</c>.</summary>
internal static class KafkaSettingsFile
{
    private const string Forever = "forever";

    private static readonly string[] KafkaNames = ["address", "port", "advertised", "security", "quotas", "limits", "defaults"];

    private static readonly string[] LimitNames =
        ["connections", "connections_per_address", "request", "partitions", "group_members", "session", "transaction", "offsets", "transactional_ids"];

    private static readonly string[] DefaultNames = ["create_topics", "partitions", "retention", "retention_bytes", "segment", "max_message"];

    private static readonly string[] SecurityNames =
        ["certificate", "key", "client_ca", "client_certificates", "principal_names", "sasl", "super_users", "acls", "allow_without_acl"];

    public static PlatformSettings Read(YamlNode node, PlatformSettings settings, string file)
    {
        var server = settings.KafkaServer;
        YamlNode? securityAt = null;
        foreach (var (key, name, value) in SettingsFile.Entries(node, file))
        {
            switch (name)
            {
                case "address" or "port":
                    settings = settings with { Kafka = SettingsFile.Listener(new YamlMappingNode(key, value), settings.Kafka, file) };
                    break;
                case "advertised":
                    server = server with { Advertised = SettingsFile.Text(value, file) };
                    break;
                case "security":
                    securityAt = value;
                    server = server with { Security = Security(value, file) };
                    break;
                case "quotas":
                    server = server with { Quotas = Quotas(value, file) };
                    break;
                case "limits":
                    server = server with { Options = Limits(value, server.Options, file) };
                    break;
                case "defaults":
                    server = server with { Options = Defaults(value, server.Options, file) };
                    break;
                default:
                    throw SettingsFile.Unknown(key, name, KafkaNames, file);
            }
        }
        if (server.Security is { Certificate: null } open && open.Sasl.Contains(BrokerSecurity.Plain) && !IPAddress.IsLoopback(settings.Kafka.Address))
        {
            throw SettingsFile.Fault(
                securityAt!, file, "PLAIN would send passwords in the clear over the network", "add certificate: and key:, or take PLAIN out of sasl:");
        }
        return settings with { KafkaServer = server };
    }

    private static KafkaSecuritySettings Security(YamlNode node, string file)
    {
        var security = new KafkaSecuritySettings();
        YamlNode? clientsAt = null;
        foreach (var (key, name, value) in SettingsFile.Entries(node, file))
        {
            security = name switch
            {
                "certificate" => security with { Certificate = SettingsFile.Expand(SettingsFile.Text(value, file)) },
                "key" => security with { Key = SettingsFile.Expand(SettingsFile.Text(value, file)) },
                "client_ca" => security with { ClientAuthorities = SettingsFile.Expand(SettingsFile.Text(clientsAt = value, file)) },
                "client_certificates" => security with { ClientCertificateOptional = IsOptional(clientsAt = value, file) },
                "principal_names" => security with { PrincipalNames = Names(clientsAt = value, file) },
                "sasl" => security with { Sasl = [.. SettingsFile.Texts(value, file).Select(t => Mechanism(t.Node, t.Text, file))] },
                "super_users" => security with { SuperUsers = [.. SettingsFile.Texts(value, file).Select(t => t.Text)] },
                "acls" => security with { Acls = SettingsFile.Flag(value, file) },
                "allow_without_acl" => security with { AllowWithoutAcl = SettingsFile.Flag(value, file) },
                _ => throw SettingsFile.Unknown(key, name, SecurityNames, file),
            };
        }
        if (clientsAt is not null && (security.ClientAuthorities is null || security.Certificate is null))
            throw SettingsFile.Fault(clientsAt, file, "clients show certificates over TLS alone, signed by somebody named", "give certificate:, key: and client_ca:");
        if (security.Certificate is null && security.Sasl.Count == 0)
            throw SettingsFile.Fault(node, file, "security: turns nothing on", "give certificate: and key: for TLS, sasl: for logins, or both");
        return security;
    }

    private static bool IsOptional(YamlNode node, string file) => SettingsFile.Text(node, file) switch
    {
        "required" => false,
        "optional" => true,
        var text => throw SettingsFile.Fault(node, file, $"'{text}' is not how certificates are asked for", "required, or optional to let clients in without one"),
    };

    private static PrincipalNames Names(YamlNode node, string file)
    {
        try
        {
            return PrincipalNames.Parse(SettingsFile.Texts(node, file).Select(t => t.Text));
        }
        catch (FormatException wrong)
        {
            throw SettingsFile.Fault(node, file, wrong.Message, "principal_names: [\"RULE:^CN=([^,]+).*$/$1/L\", DEFAULT]");
        }
    }

    private static string Mechanism(YamlNode node, string text, string file) => BrokerSecurity.AllMechanisms.Contains(text)
        ? text
        : throw SettingsFile.Fault(node, file, $"there is no mechanism '{text}'", "they are " + string.Join(", ", BrokerSecurity.AllMechanisms));

    private static BrokerOptions Limits(YamlNode node, BrokerOptions options, string file)
    {
        foreach (var (key, name, value) in SettingsFile.Entries(node, file))
        {
            options = name switch
            {
                "connections" => options with { MaxConnections = (int)SettingsFile.Number(value, file, 1, 1_000_000) },
                "connections_per_address" => options with { MaxConnectionsPerAddress = (int)SettingsFile.Number(value, file, 1, 1_000_000) },
                "request" => options with { MaxFrameBytes = (int)Math.Clamp(SettingsFile.Bytes(value, file), 1 << 20, 1 << 30) },
                "partitions" => options with { MaxPartitions = (int)SettingsFile.Number(value, file, 1, 100_000) },
                "group_members" => options with { GroupMaxSize = (int)SettingsFile.Number(value, file, 1, 100_000) },
                "session" => options with { GroupMaxSessionTimeout = SettingsFile.Duration(value, file) },
                "transaction" => options with { MaxTransactionTimeout = SettingsFile.Duration(value, file) },
                "offsets" => options with { OffsetRetention = SettingsFile.Duration(value, file) },
                "transactional_ids" => options with { TransactionalIdExpiration = SettingsFile.Duration(value, file) },
                _ => throw SettingsFile.Unknown(key, name, LimitNames, file),
            };
        }
        return options;
    }

    private static BrokerOptions Defaults(YamlNode node, BrokerOptions options, string file)
    {
        foreach (var (key, name, value) in SettingsFile.Entries(node, file))
        {
            options = name switch
            {
                "create_topics" => options with { AutoCreateTopics = SettingsFile.Flag(value, file) },
                "partitions" => options with { NumPartitions = (int)SettingsFile.Number(value, file, 1, 10_000) },
                "retention" => options with { Retention = SettingsFile.Text(value, file) == Forever ? TimeSpan.FromMilliseconds(-1) : SettingsFile.Duration(value, file) },
                "retention_bytes" => options with { RetentionBytes = SettingsFile.Bytes(value, file) },
                "segment" => options with { SegmentBytes = (int)Math.Clamp(SettingsFile.Bytes(value, file), 1 << 20, 1 << 30) },
                "max_message" => options with { MaxMessageBytes = (int)Math.Clamp(SettingsFile.Bytes(value, file), 1 << 10, 256 << 20) },
                _ => throw SettingsFile.Unknown(key, name, DefaultNames, file),
            };
        }
        return options;
    }

    private static List<ClientQuota> Quotas(YamlNode node, string file)
    {
        if (node is not YamlSequenceNode list)
            throw SettingsFile.Fault(node, file, "quotas: is a list", "- {client_id: loader, produce: 10MiB}");
        var quotas = new List<ClientQuota>();
        foreach (var item in list)
        {
            string? user = null, client = null;
            var rates = new List<(QuotaKind Kind, double PerSecond)>();
            foreach (var (key, name, value) in SettingsFile.Entries(item, file))
            {
                switch (name)
                {
                    case "user":
                        user = SettingsFile.Text(value, file) is "*" ? ClientQuota.Default : SettingsFile.Text(value, file);
                        break;
                    case "client_id":
                        client = SettingsFile.Text(value, file) is "*" ? ClientQuota.Default : SettingsFile.Text(value, file);
                        break;
                    case "produce":
                        rates.Add((QuotaKind.ProducerBytes, Math.Max(1, SettingsFile.Bytes(value, file))));
                        break;
                    case "fetch":
                        rates.Add((QuotaKind.ConsumerBytes, Math.Max(1, SettingsFile.Bytes(value, file))));
                        break;
                    case "requests":
                        rates.Add((QuotaKind.Requests, SettingsFile.Number(value, file, 1, 1_000_000_000)));
                        break;
                    default:
                        throw SettingsFile.Unknown(key, name, ["user", "client_id", "produce", "fetch", "requests"], file);
                }
            }
            if ((user is null && client is null) || rates.Count == 0)
                throw SettingsFile.Fault(item, file, "a quota names a user or a client_id, and produce, fetch or requests", "- {client_id: loader, produce: 10MiB}");
            quotas.AddRange(rates.Select(r => new ClientQuota(user, client, r.Kind, r.PerSecond)));
        }
        return quotas;
    }
}
