using System.Net;
using Millrace.Host.Settings;

namespace Millrace.Tests.Host;

public sealed class SettingsFileTests
{
    [Fact]
    public void Every_setting_is_read()
    {
        var settings = SettingsFile.Parse(
            """
            data: /tmp/elsewhere
            brokers: kafka1:9092
            kafka: {port: 1}
            http: {address: 0.0.0.0, port: 2}
            postgres: {port: 3}
            query: {memory: 512MiB, spill: 2GiB, threads: 3, timeout_seconds: 9}
            tables: {keep: 2h, keep_last: 7, compact: 64MiB, every: 30s, max_snapshots: 50}
            targets:
              slack:
                ops: https://example.com/secret
            """, "millrace.yaml");
        Assert.Equal("/tmp/elsewhere", settings.Data);
        Assert.Equal("kafka1:9092", settings.BrokersOrOwn);
        Assert.Equal(1, settings.Kafka.Port);
        Assert.Equal(IPAddress.Any, settings.Http.Address);
        Assert.Equal("127.0.0.1:2", settings.Http.ToString());
        Assert.Equal(3, settings.Postgres.Port);
        Assert.Equal(512L << 20, settings.Query.MemoryBytes);
        Assert.Equal(TimeSpan.FromSeconds(9), settings.Query.Timeout);
        Assert.Equal((TimeSpan.FromHours(2), 7, 64L << 20), (settings.Tables.DefaultKeep, settings.Tables.DefaultKeepLast, settings.Tables.CompactTo));
        Assert.Equal((TimeSpan.FromSeconds(30), 50), (settings.Tables.Every, settings.Tables.MaxSnapshots));
        Assert.Equal(TimeSpan.MaxValue, SettingsFile.Parse("tables: {keep: forever}", "m").Tables.DefaultKeep);
        Assert.Equal(new Uri("https://example.com/secret"), settings.Targets["slack:ops"]);
    }

    [Fact]
    public void The_logs_limits_and_what_topics_are_by_default_are_read()
    {
        var options = SettingsFile.Parse(
            """
            kafka:
              limits: {connections: 9, connections_per_address: 3, request: 2MiB, partitions: 7, group_members: 4, session: 10m, transaction: 1m, offsets: 1d, transactional_ids: 2d}
              defaults: {create_topics: false, partitions: 1, retention: 2h, retention_bytes: 1GiB, segment: 64MiB, max_message: 1MiB}
            """, "m").KafkaServer.Options;
        Assert.Equal((9, 3, 2 << 20, 7, 4), (options.MaxConnections, options.MaxConnectionsPerAddress, options.MaxFrameBytes, options.MaxPartitions, options.GroupMaxSize));
        Assert.Equal(
            (TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(1), TimeSpan.FromDays(1), TimeSpan.FromDays(2)),
            (options.GroupMaxSessionTimeout, options.MaxTransactionTimeout, options.OffsetRetention, options.TransactionalIdExpiration));
        Assert.Equal((false, 1, TimeSpan.FromHours(2), 1L << 30), (options.AutoCreateTopics, options.NumPartitions, options.Retention, options.RetentionBytes));
        Assert.Equal((64 << 20, 1 << 20), (options.SegmentBytes, options.MaxMessageBytes));
        Assert.True(SettingsFile.Parse("kafka: {defaults: {retention: forever}}", "m").KafkaServer.Options.Retention < TimeSpan.Zero);
        Assert.Equal(new Millrace.Log.BrokerOptions { DataFolder = "" }, SettingsFile.Parse("kafka: {port: 1}", "m").KafkaServer.Options);
    }

    [Theory]
    [InlineData("kafka: {limits: {topics: 1}}", "m.yaml:1:18: unknown setting 'topics'")]
    [InlineData("kafka: {defaults: {retention: long}}", "m.yaml:1:31: 'long' is not a duration")]
    [InlineData("kafak: {port: 1}", "m.yaml:1:1: unknown setting 'kafak'")]
    [InlineData("http:\n  port: 70000", "m.yaml:2:9: '70000' is no whole number from 0 to 65535")]
    [InlineData("http: {address: here}", "m.yaml:1:17: 'here' is no IP address")]
    [InlineData("query: {memory: lots}", "m.yaml:1:17: 'lots' is no size")]
    [InlineData("coordination: {port: 1, members: {a: here}}", "m.yaml:1:38: 'here' is no host and port")]
    [InlineData("coordination: {name: a, members: {a: h:1, b: h:2}}", "m.yaml:1:34: a group begins with 1, 3 or 5 members, not 2")]
    [InlineData("coordination: {consensus: fast-paxos, reads: lease}", "m.yaml:1:15: fast-paxos cannot read by lease")]
    [InlineData("coordination: {endpoints: [ftp://a:1]}", "m.yaml:1:28: 'ftp://a:1' is no address of a store")]
    [InlineData("coordination: {endpoints: [a:1], members: {a: h:1}}", "m.yaml:1:15: endpoints: name a store elsewhere")]
    [InlineData("coordination: {tls: {ca: x.pem}}", "m.yaml:1:15: tls: has no certificate")]
    [InlineData("coordination: {peer_tls: {certificate: x.pem}}", "m.yaml:1:26: members prove themselves to each other")]
    [InlineData("coordination: {sessions: {copies: 3, write: 4}}", "m.yaml:1:26: write must be from 1 to copies (3), not 4")]
    [InlineData("coordination: {consensus: paxos}", "m.yaml:1:27: 'paxos' is no algorithm of the store")]
    [InlineData("coordination: {name: d, members: {a: h:1, b: h:2, c: h:3}}", "m.yaml:1:22: the members do not include this one, 'd'")]
    [InlineData("tables: {keep: 1x}", "m.yaml:1:16: '1x' is not a duration")]
    [InlineData("tables: {expire: 1h}", "m.yaml:1:10: unknown setting 'expire'")]
    [InlineData("data: [a", "m.yaml:2:1: ")]
    public void A_fault_is_told_with_its_place(string yaml, string message)
    {
        var fault = Assert.Throws<SettingsException>(() => SettingsFile.Parse(yaml, "m.yaml"));
        Assert.StartsWith(message, fault.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http: {login: true}", "asks for users, and there are none")]
    [InlineData("kafka: {security: {sasl: [SCRAM-SHA-256]}}\nhttp: {address: 0.0.0.0}", "passwords in the clear")]
    [InlineData("kafka: {security: {sasl: [SCRAM-SHA-256]}}\nhttp: {address: 0.0.0.0, login: false}", "everyone on the network")]
    [InlineData("kafka: {security: {certificate: c, key: k}}\nhttp: {address: 0.0.0.0}", "has no users")]
    [InlineData("kafka: {security: {sasl: [SCRAM-SHA-256], client_ca: x}}", "over TLS alone")]
    [InlineData("kafka: {security: {certificate: c, client_ca: x, client_certificates: maybe}}", "'maybe'")]
    [InlineData("kafka: {security: {certificate: c, client_ca: x, principal_names: [CN]}}", "'CN' is no rule")]
    public void A_guarded_platform_has_no_open_door(string yaml, string message) =>
        Assert.Contains(message, Assert.Throws<SettingsException>(() => SettingsFile.Parse(yaml, "m.yaml")).Message, StringComparison.Ordinal);

    [Fact]
    public void Off_loopback_the_HTTP_port_of_a_guarded_platform_asks_for_a_login_over_TLS()
    {
        const string security = "kafka: {security: {certificate: c, key: k, sasl: [SCRAM-SHA-256]}}\n";
        var open = SettingsFile.Parse(security + "http: {address: 0.0.0.0, port: 5}", "m.yaml");
        Assert.Equal((true, true, "https://127.0.0.1:5/"), (open.HttpLogin, open.HttpTls, open.HttpAddress.ToString()));
        var closed = SettingsFile.Parse(security, "m.yaml");
        Assert.Equal((false, false), (closed.HttpLogin, closed.HttpTls));
        var asked = SettingsFile.Parse(security + "http: {login: true}", "m.yaml");
        Assert.Equal((true, false), (asked.HttpLogin, asked.HttpTls));
    }

    [Fact]
    public void The_coordination_store_can_be_an_etcd_elsewhere_and_speak_tls()
    {
        var outer = SettingsFile.Parse("coordination: {endpoints: [https://a:1, b:2], tls: {ca: /ca.pem}}", "m.yaml").Coordination!;
        Assert.Equal([new Uri("https://a:1"), new Uri("http://b:2")], outer.Addresses);
        Assert.Equal("/ca.pem", outer.Tls!.Ca);
        var own = SettingsFile.Parse(
            "coordination: {port: 7, tls: {certificate: /s.pem, key: /s.key, ca: /ca.pem, client_cert_auth: true}, peer_tls: {certificate: /s.pem, ca: /ca.pem}}",
            "m.yaml").Coordination!;
        Assert.Equal([new Uri("https://127.0.0.1:7")], own.Addresses);
        var options = own.Options("/tmp/x");
        Assert.True(options.ClientTls!.RequireClientCertificate && options.PeerTls!.RequireClientCertificate);
        Assert.Equal("https://127.0.0.1:7", options.AdvertisedClientUrl);
    }

    [Fact]
    public void The_coordination_store_runs_alone_by_default_as_one_of_several_or_not_at_all()
    {
        var alone = SettingsFile.Parse("data: /tmp/x", "m.yaml").Coordination!.Options("/tmp/x/coordination");
        Assert.Equal((2379, -1, "127.0.0.1"), (alone.ClientPort, alone.PeerPort, alone.Address.ToString()));
        Assert.Null(SettingsFile.Parse("coordination: off", "m.yaml").Coordination);
        var one = SettingsFile.Parse(
            """
            coordination:
              address: 10.0.0.2
              port: 2479
              name: b
              reads: lease
              members:
                a: 10.0.0.1:2380
                b: 10.0.0.2:2381
                c: 10.0.0.3:2380
            """, "m.yaml").Coordination!.Options("/tmp/x/coordination");
        Assert.Equal(("b", 2479, 2381, "http://10.0.0.2:2479"), (one.Name, one.ClientPort, one.PeerPort, one.AdvertisedClientUrl));
        Assert.Equal(["a", "b", "c"], one.Members.Select(m => m.Name));
        Assert.Equal(Millrace.Coordination.Node.ReadMode.Lease, one.Reads);
    }

    [Fact]
    public void A_bad_webhook_address_is_not_repeated_in_the_message()
    {
        var fault = Assert.Throws<SettingsException>(() => SettingsFile.Parse("targets: {slack: {ops: secret-token}}", "m.yaml"));
        Assert.DoesNotContain("secret-token", fault.Message);
    }
}
