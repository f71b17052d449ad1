using System.Globalization;
using System.Net;
using Millrace.Coordination.Node;
using Millrace.Raft.Transport;
using Millrace.Coordination.Sessions;
using Millrace.Raft.Consensus;
using Millrace.Iceberg.Maintenance;
using Millrace.Pipelines.Language;
using Millrace.Streams.Sql;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Millrace.Host.Settings;

/// <summary>A fault in <c>millrace.yaml</c>, with its place.</summary>
internal sealed class SettingsException(string file, int line, int column, string message, string? hint = null)
    : Exception($"{file}:{line}:{column}: {message}{(hint is null ? "" : "\nhint: " + hint)}");

/// <summary>Reads <c>millrace.yaml</c>. Unknown names and bad values are refused with their place.</summary>
internal static class SettingsFile
{
    /// <summary>The settings at the top of the file.</summary>
    internal static readonly string[] Names = ["data", "kafka", "http", "postgres", "coordination", "brokers", "client", "registry", "query", "tables", "targets", "alerts"];

    /// <summary>
    /// The settings from <paramref name="path"/>; without one from MILLRACE_CONFIG, ./millrace.yaml or ~/.millrace/millrace.yaml, the first
    /// that exists; else the defaults.
    /// </summary>
    public static PlatformSettings Load(string? path)
    {
        var defaults = new PlatformSettings();
        if (path is not null && !File.Exists(path))
            throw new SettingsException(path, 1, 1, "no such file", "leave --config away to use ./millrace.yaml or the defaults");
        var file = path ?? new[]
        {
            Environment.GetEnvironmentVariable("MILLRACE_CONFIG"), "millrace.yaml", Path.Combine(defaults.Data, "millrace.yaml"),
        }.FirstOrDefault(candidate => candidate is not null && File.Exists(candidate));
        return file is null ? defaults : Parse(File.ReadAllText(file), file);
    }

    internal static PlatformSettings Parse(string yaml, string file)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(yaml));
        }
        catch (YamlException error)
        {
            throw new SettingsException(file, (int)error.Start.Line, (int)error.Start.Column, error.Message);
        }
        var settings = new PlatformSettings { File = file };
        if (stream.Documents.Count == 0)
            return settings;
        YamlNode? alertsAt = null, httpAt = null;
        foreach (var (key, name, value) in Entries(stream.Documents[0].RootNode, file))
        {
            settings = name switch
            {
                "data" => settings with { Data = Expand(Text(value, file)) },
                "brokers" => settings with { Brokers = Text(value, file) },
                "registry" => settings with
                {
                    Registry = Uri.TryCreate(Text(value, file), UriKind.Absolute, out var registry) && registry.Scheme is "http" or "https"
                        ? registry
                        : throw Fault(value, file, "registry is no http or https address", "registry: http://schemas:8081"),
                },
                "kafka" => KafkaSettingsFile.Read(value, settings, file),
                "client" => settings with { Client = Entries(value, file).ToDictionary(e => e.Name, e => Text(e.Value, file)) },
                "http" => HttpSettings.Read(httpAt = value, settings, file),
                "postgres" => settings with { Postgres = Listener(value, settings.Postgres, file) },
                "coordination" => settings with { Coordination = Coordination(value, file) },
                "query" => settings with { Query = Query(value, settings.Query, file) },
                "tables" => settings with { Tables = Tables(value, settings.Tables, file) },
                "targets" => settings with { Targets = Targets(value, file) },
                "alerts" => settings with { LagAlert = Alerts(alertsAt = value, file) },
                _ => throw Unknown(key, name, Names, file),
            };
        }
        settings = HttpSettings.Check(httpAt, settings, file);
        if (settings.LagAlert is { To: not "log" } lag && !settings.Targets.ContainsKey(lag.To))
            throw Fault(alertsAt!, file, $"no target is named '{lag.To}'", "name it under targets:, or write log");
        return settings;
    }

    internal static ListenerSettings Listener(YamlNode node, ListenerSettings listener, string file)
    {
        foreach (var (key, name, value) in Entries(node, file))
        {
            listener = name switch
            {
                "port" => listener with { Port = (int)Number(value, file, 0, 65535) },
                "address" => listener with
                {
                    Address = IPAddress.TryParse(Text(value, file), out var address)
                        ? address
                        : throw Fault(value, file, $"'{Text(value, file)}' is no IP address", "127.0.0.1 for this machine only, 0.0.0.0 for all"),
                },
                _ => throw Unknown(key, name, ["address", "port"], file),
            };
        }
        return listener;
    }

    /// <summary><c>off</c>, or where the member listens, who it is and who the others are.</summary>
    private static CoordinationSettings? Coordination(YamlNode node, string file)
    {
        if (node is YamlScalarNode { Value: "off" or "false" })
            return null;
        var settings = new CoordinationSettings();
        YamlNode? nameAt = null;
        foreach (var (key, name, value) in Entries(node, file))
        {
            switch (name)
            {
                case "port":
                case "address":
                    settings = settings with { Listener = Listener(new YamlMappingNode(key, value), settings.Listener, file) };
                    break;
                case "name":
                    nameAt = value;
                    settings = settings with { Name = Text(value, file) };
                    break;
                case "members":
                    settings = settings with { Members = [.. Entries(value, file).Select(m => Member(m.Name, m.Value, file))] };
                    if (settings.Members.Count is not (1 or 3 or 5))
                        throw Fault(value, file, $"a group begins with 1, 3 or 5 members, not {settings.Members.Count}", "an even number can lose no more members than one less");
                    break;
                case "join":
                    settings = settings with { IsJoining = Flag(value, file) };
                    break;
                case "speculate":
                    settings = settings with { Speculates = Flag(value, file) };
                    break;
                case "endpoints":
                    settings = settings with { Endpoints = [.. Texts(value, file).Select(t => Endpoint(t.Node, t.Text, file))] };
                    break;
                case "tls":
                    settings = settings with { Tls = Tls(value, file) };
                    break;
                case "peer_tls":
                    settings = settings with { PeerTls = Tls(value, file) with { RequireClientCertificate = true } };
                    if (settings.PeerTls.Certificate is null || settings.PeerTls.Ca is null)
                        throw Fault(value, file, "members prove themselves to each other, which takes certificate and ca", "peer_tls: {certificate: a.pem, key: a.key, ca: ca.pem}");
                    break;
                case "consensus":
                    settings = settings with
                    {
                        Consensus = Text(value, file) switch
                        {
                            "raft" => ConsensusAlgorithm.Raft,
                            "multi-paxos" => ConsensusAlgorithm.MultiPaxos,
                            "fast-paxos" => ConsensusAlgorithm.FastPaxos,
                            var text => throw Fault(value, file, $"'{text}' is no algorithm of the store", "raft, multi-paxos or fast-paxos"),
                        },
                    };
                    break;
                case "sessions":
                    settings = settings with { Sessions = Sessions(value, file) };
                    break;
                case "reads":
                    settings = settings with
                    {
                        Reads = Text(value, file) switch
                        {
                            "index" => ReadMode.Index,
                            "lease" => ReadMode.Lease,
                            "quorum" => ReadMode.Quorum,
                            var text => throw Fault(value, file, $"'{text}' is no way to read", "index, lease or quorum"),
                        },
                    };
                    break;
                default:
                    throw Unknown(key, name, ["address", "port", "name", "members", "join", "reads", "consensus", "endpoints", "tls", "peer_tls", "speculate", "sessions"], file);
            }
        }
        if (settings.Endpoints.Count == 0 && settings.Tls is { Certificate: null })
            throw Fault(node, file, "tls: has no certificate for the store's own port", "tls: {certificate: server.pem, key: server.key}");
        if (settings.Endpoints.Count > 0 && settings.Members.Count > 0)
            throw Fault(node, file, "endpoints: name a store elsewhere, members: one in this process", "keep one of the two");
        if (settings is { Speculates: true, Consensus: not ConsensusAlgorithm.Raft })
            throw Fault(node, file, "speculate: needs raft", "consensus: raft, or leave speculate away");
        if (settings is { Consensus: ConsensusAlgorithm.FastPaxos, Reads: ReadMode.Lease })
            throw Fault(node, file, "fast-paxos cannot read by lease, since its members commit without their leader", "reads: index or quorum");
        if (settings.Members.Count > 0 && !settings.IsJoining && !settings.Members.Any(m => m.Name == settings.Name))
        {
            throw Fault(
                nameAt ?? node, file, $"the members do not include this one, '{settings.Name}'",
                "name is one of " + string.Join(", ", settings.Members.Select(m => m.Name)));
        }
        return settings;
    }

    private static Uri Endpoint(YamlNode node, string text, string file) =>
        Uri.TryCreate(text.Contains("://", StringComparison.Ordinal) ? text : "http://" + text, UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
            ? address
            : throw Fault(node, file, $"'{text}' is no address of a store", "http://10.0.0.1:2379 or https://10.0.0.1:2379");

    private static TlsFiles Tls(YamlNode node, string file)
    {
        var tls = new TlsFiles();
        foreach (var (key, name, value) in Entries(node, file))
        {
            tls = name switch
            {
                "certificate" => tls with { Certificate = Expand(Text(value, file)) },
                "key" => tls with { Key = Expand(Text(value, file)) },
                "ca" => tls with { Ca = Expand(Text(value, file)) },
                "client_cert_auth" => tls with { RequireClientCertificate = Flag(value, file) },
                _ => throw Unknown(key, name, ["certificate", "key", "ca", "client_cert_auth"], file),
            };
        }
        return tls;
    }

    private static SessionQuorum Sessions(YamlNode node, string file)
    {
        var quorum = new SessionQuorum();
        foreach (var (key, name, value) in Entries(node, file))
        {
            var number = (int)Number(value, file, 1, 7);
            quorum = name switch
            {
                "copies" => quorum with { Copies = number },
                "write" => quorum with { Write = number },
                "read" => quorum with { Read = number },
                _ => throw Unknown(key, name, ["copies", "write", "read"], file),
            };
        }
        try
        {
            quorum.Validate();
            return quorum;
        }
        catch (ArgumentException error)
        {
            throw Fault(node, file, error.Message.Split(" (Parameter")[0], "read + write above copies never reads an old value; less is faster and may");
        }
    }

    private static CoordinationMember Member(string name, YamlNode value, string file)
    {
        var text = Text(value, file);
        var colon = text.LastIndexOf(':');
        return colon > 0 && ushort.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0
            ? new CoordinationMember(name, text[..colon], port)
            : throw Fault(value, file, $"'{text}' is no host and port", "write a member as name: 10.0.0.1:2380, the port for members");
    }

    internal static bool Flag(YamlNode node, string file) => Text(node, file) switch
    {
        "true" => true,
        "false" => false,
        var text => throw Fault(node, file, $"'{text}' is neither true nor false"),
    };

    private static QuerySettings Query(YamlNode node, QuerySettings query, string file)
    {
        foreach (var (key, name, value) in Entries(node, file))
        {
            query = name switch
            {
                "memory" => query with { MemoryBytes = Bytes(value, file) },
                "spill" => query with { SpillBytes = Bytes(value, file) },
                "threads" => query with { Threads = (int)Number(value, file, 1, 1024) },
                "timeout_seconds" => query with { Timeout = TimeSpan.FromSeconds(Number(value, file, 1, 86_400)) },
                _ => throw Unknown(key, name, ["memory", "spill", "threads", "timeout_seconds"], file),
            };
        }
        return query;
    }

    private static UpkeepOptions Tables(YamlNode node, UpkeepOptions tables, string file)
    {
        foreach (var (key, name, value) in Entries(node, file))
        {
            tables = name switch
            {
                "keep" => tables with { DefaultKeep = Text(value, file) == "forever" ? TimeSpan.MaxValue : Duration(value, file) },
                "keep_last" => tables with { DefaultKeepLast = (int)Number(value, file, 1, 1_000_000) },
                "max_snapshots" => tables with { MaxSnapshots = (int)Number(value, file, 1, 1_000_000) },
                "compact" => tables with { CompactTo = Text(value, file) == "off" ? 0 : Bytes(value, file) },
                "every" => tables with { Every = Duration(value, file) },
                _ => throw Unknown(key, name, ["keep", "keep_last", "max_snapshots", "compact", "every"], file),
            };
        }
        return tables;
    }

    internal static TimeSpan Duration(YamlNode node, string file) =>
        DurationText.TryParse(Text(node, file), out var duration, out var problem) ? duration : throw Fault(node, file, problem, DurationText.Hint);

    /// <summary>Two levels: kind (<c>slack</c>, <c>webhook</c>), then name and address; the target is <c>kind:name</c>.</summary>
    private static LagAlertSettings? Alerts(YamlNode node, string file)
    {
        LagAlertSettings? lag = null;
        foreach (var (key, name, value) in Entries(node, file))
        {
            if (name != "lag")
                throw Unknown(key, name, ["lag"], file);
            lag = new LagAlertSettings(100_000, TimeSpan.FromMinutes(1), "log");
            foreach (var (field, fieldName, fieldValue) in Entries(value, file))
            {
                lag = fieldName switch
                {
                    "over" => lag with { Over = Number(fieldValue, file, 0, long.MaxValue) },
                    "for" => lag with { For = Duration(fieldValue, file) },
                    "to" => lag with { To = Text(fieldValue, file) },
                    _ => throw Unknown(field, fieldName, ["over", "for", "to"], file),
                };
            }
        }
        return lag;
    }

    private static Dictionary<string, Uri> Targets(YamlNode node, string file)
    {
        var targets = new Dictionary<string, Uri>();
        foreach (var (_, kind, names) in Entries(node, file))
        {
            foreach (var (_, name, value) in Entries(names, file))
            {
                // The text may be a secret address, so the message does not repeat it.
                targets[$"{kind}:{name}"] = Uri.TryCreate(Text(value, file), UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
                    ? address
                    : throw Fault(value, file, $"the target {kind}:{name} is no http or https address");
            }
        }
        return targets;
    }

    internal static IEnumerable<(YamlNode Key, string Name, YamlNode Value)> Entries(YamlNode node, string file)
    {
        if (node is not YamlMappingNode mapping)
            throw Fault(node, file, "expected a mapping of names to values");
        foreach (var (key, value) in mapping.Children)
            yield return (key, Text(key, file), value);
    }

    internal static string Text(YamlNode node, string file) =>
        node is YamlScalarNode { Value: { } value } ? value : throw Fault(node, file, "expected one value");

    internal static long Number(YamlNode node, string file, long least, long most) =>
        long.TryParse(Text(node, file), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
            ? number
            : throw Fault(node, file, $"'{Text(node, file)}' is no whole number from {least} to {most}");

    internal static long Bytes(YamlNode node, string file) =>
        ByteSizeText.TryParse(Text(node, file), out var bytes) ? bytes : throw Fault(node, file, $"'{Text(node, file)}' is no size", ByteSizeText.Hint);

    /// <summary>A list of texts, or one text.</summary>
    internal static IEnumerable<(YamlNode Node, string Text)> Texts(YamlNode node, string file) =>
        node is YamlSequenceNode list ? list.Select(n => (n, Text(n, file))) : [(node, Text(node, file))];

    internal static string Expand(string path) => Path.GetFullPath(
        path == "~" || path.StartsWith("~/", StringComparison.Ordinal)
            ? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) + path[1..]
            : path);

    internal static SettingsException Unknown(YamlNode node, string name, string[] valid, string file) =>
        Fault(node, file, $"unknown setting '{name}'", "the settings here are " + string.Join(", ", valid));

    internal static SettingsException Fault(YamlNode node, string file, string message, string? hint = null) =>
        new(file, (int)node.Start.Line, (int)node.Start.Column, message, hint);
}
