using System.Net;
using YamlDotNet.RepresentationModel;

namespace Millrace.Host.Settings;

/// <summary>Who may use the HTTP port: the console, the API, the schema registry and the Iceberg catalog.</summary>
internal static class HttpSettings
{
    /// <summary>Reads <c>http:</c>.</summary>
    public static PlatformSettings Read(YamlNode node, PlatformSettings settings, string file)
    {
        foreach (var (key, name, value) in SettingsFile.Entries(node, file))
        {
            settings = name switch
            {
                "login" => settings with { HttpLogin = SettingsFile.Flag(value, file) },
                "address" or "port" => settings with { Http = SettingsFile.Listener(new YamlMappingNode(key, value), settings.Http, file) },
                _ => throw SettingsFile.Unknown(key, name, ["address", "port", "login"], file),
            };
        }
        return settings;
    }

    /// <summary>
    /// Where the Kafka port is guarded the HTTP port must be too, for it shows and changes the same: loopback alone, or a login over TLS.
    /// </summary>
    /// <param name="at">Where <c>http:</c> stands; null when it does not.</param>
    public static PlatformSettings Check(YamlNode? at, PlatformSettings settings, string file)
    {
        var open = !IPAddress.IsLoopback(settings.Http.Address);
        if (settings.KafkaServer.Security is not { } security)
        {
            return settings.HttpLogin != true
                ? settings
                : throw SettingsFile.Fault(at!, file, "login: asks for users, and there are none", "give kafka: security: sasl: [SCRAM-SHA-512]");
        }
        var login = settings.HttpLogin ?? open;
        if (!login && open)
            throw SettingsFile.Fault(at!, file, "everyone on the network could do over HTTP what kafka: security: forbids", "take login: false away, or listen on 127.0.0.1");
        if (login && security.Sasl.Count == 0)
        {
            throw SettingsFile.Fault(
                at!, file, "the HTTP port asks for a login, and kafka: security: has no users", "add sasl: [SCRAM-SHA-512] there, or listen on 127.0.0.1");
        }
        if (login && open && security.Certificate is null)
        {
            throw SettingsFile.Fault(
                at!, file, "HTTP would send passwords in the clear over the network", "add certificate: and key: to kafka: security:, or listen on 127.0.0.1");
        }
        return settings with { HttpLogin = login, HttpTls = login && open };
    }
}
