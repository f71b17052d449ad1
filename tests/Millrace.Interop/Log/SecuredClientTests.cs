using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Millrace.Bench.Running;
using Millrace.Interop.EndToEnd;
using Millrace.Interop.Schemas;
using Millrace.Tests;

namespace Millrace.Interop.Log;

/// <summary>Other programs' clients over TLS with logins, rules and quotas, against a platform that is set up as the guide says.</summary>
public sealed class SecuredClientTests : PlatformTests
{
    private string Certificate => Path.Combine(Folder, "broker.pem");

    public override async Task InitializeAsync()
    {
        WriteCertificate();
        var file = Path.Combine(Folder, "millrace.yaml");
        var text = await File.ReadAllTextAsync(file);
        text = text.Replace(
            $"kafka: {{port: {Platform.KafkaPort}}}", $$"""
            kafka:
              port: {{Platform.KafkaPort}}
              security:
                certificate: {{Certificate}}
                key: {{Path.Combine(Folder, "broker.key")}}
                sasl: [SCRAM-SHA-256, SCRAM-SHA-512, PLAIN]
                super_users: [admin]
            client: {security.protocol: SASL_SSL, sasl.mechanisms: PLAIN, sasl.username: admin, sasl.password: adminpw, ssl.ca.location: {{Certificate}}}
            """, StringComparison.Ordinal);
        Assert.Contains("security:", text, StringComparison.Ordinal);
        await File.WriteAllTextAsync(file, text);
        // Before the first start, in the data folder.
        await UserAsync("admin", "adminpw");
        await base.InitializeAsync();
        // And over HTTP while it runs.
        await UserAsync("alice", "alicepw");
    }

    [ProgramFact("kcat")]
    public async Task Kcat_logs_in_by_each_mechanism_and_only_with_the_password()
    {
        foreach (var mechanism in new[] { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" })
        {
            await KcatAsync("admin", "adminpw", mechanism, $"with {mechanism}\n", "-P", "-t", "t", "-p", "0");
            Assert.Contains($"with {mechanism}", await KcatAsync("admin", "adminpw", mechanism, null, "-C", "-t", "t", "-p", "0", "-e", "-q"), StringComparison.Ordinal);
        }
        var wrong = await Assert.ThrowsAnyAsync<Exception>(() => KcatAsync("admin", "guess", "SCRAM-SHA-256", null, "-L", "-m", "5"));
        Assert.Contains("Authentication failed", wrong.Message + Platform.Errors, StringComparison.Ordinal);
        var open = await Assert.ThrowsAnyAsync<Exception>(() => Programs.KcatAsync(Platform.Brokers, null, "-L", "-m", "5"));
        Assert.DoesNotContain("topic \"t\"", open.Message, StringComparison.Ordinal);
    }

    [EngineFact("kafka")]
    public async Task Kafkas_tools_make_users_rules_and_quotas()
    {
        var admin = Config("admin", "adminpw");
        string[] to = ["--bootstrap-server", Platform.Brokers, "--command-config", admin];
        await Programs.KafkaAsync("topics", null, [.. to, "--create", "--topic", "orders", "--partitions", "1"]);
        await Programs.KafkaAsync("configs", null, [.. to, "--alter", "--entity-type", "users", "--entity-name", "bob", "--add-config", "SCRAM-SHA-512=[iterations=4096,password=bobpw]"]);
        Assert.Contains("SCRAM-SHA-512=iterations=4096", await Programs.KafkaAsync("configs", null, [.. to, "--describe", "--entity-type", "users", "--entity-name", "bob"]), StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<Exception>(() => KcatAsync("bob", "bobpw", "SCRAM-SHA-512", "no\n", "-P", "-t", "orders", "-X", "message.timeout.ms=4000"));
        await Programs.KafkaAsync("acls", null, [.. to, "--add", "--allow-principal", "User:bob", "--producer", "--topic", "orders"]);
        await Programs.KafkaAsync("acls", null, [.. to, "--add", "--allow-principal", "User:bob", "--consumer", "--topic", "orders", "--group", "bobs", "--resource-pattern-type", "prefixed"]);
        var listed = await Programs.KafkaAsync("acls", null, [.. to, "--list"]);
        Assert.Contains("operation=WRITE", listed, StringComparison.Ordinal);
        Assert.Contains("patternType=PREFIXED", listed, StringComparison.Ordinal);
        await Programs.KafkaAsync("console-producer", "one\ntwo\n", "--bootstrap-server", Platform.Brokers, "--topic", "orders", "--producer.config", Config("bob", "bobpw"));
        var consumed = await Programs.KafkaAsync(
            "console-consumer", null, "--bootstrap-server", Platform.Brokers, "--topic", "orders", "--from-beginning", "--max-messages", "2", "--group", "bobs-1",
            "--consumer.config", Config("bob", "bobpw"));
        // Newer tools tell of a newer name of the option first.
        Assert.Equal(["one", "two"], Programs.Lines(consumed).Where(l => !l.StartsWith("Option", StringComparison.Ordinal)).Order());
        await Programs.KafkaAsync("configs", null, [.. to, "--alter", "--entity-type", "clients", "--entity-name", "loader", "--add-config", "producer_byte_rate=100000"]);
        Assert.Contains("producer_byte_rate=100000", await Programs.KafkaAsync("configs", null, [.. to, "--describe", "--entity-type", "clients", "--entity-name", "loader"]), StringComparison.Ordinal);
        await Programs.KafkaAsync("acls", null, [.. to, "--remove", "--force", "--allow-principal", "User:bob", "--producer", "--topic", "orders"]);
        Assert.DoesNotContain("operation=WRITE", await Programs.KafkaAsync("acls", null, [.. to, "--list"]), StringComparison.Ordinal);
        await Programs.KafkaAsync("configs", null, [.. to, "--alter", "--entity-type", "users", "--entity-name", "bob", "--delete-config", "SCRAM-SHA-512"]);
        Assert.DoesNotContain("bob", (await Platform.DoAsync("user", "list")).Output, StringComparison.Ordinal);
    }

    [PythonFact("kafka")]
    public void Kafka_python_produces_and_consumes()
    {
        foreach (var mechanism in new[] { "PLAIN", "SCRAM-SHA-256" })
        {
            var lines = PythonPrograms.Run("Log/secured_client.py", Platform.Brokers, Certificate, mechanism, "admin", "adminpw", "py-" + mechanism, "20");
            Assert.Equal("20", lines[^1]);
        }
    }

    [Fact]
    public async Task Pipelines_and_commands_work_as_without_security()
    {
        await Platform.DoAsync("topic", "create", "events", "--partitions", "1");
        Assert.Equal(0, (await Platform.CommandAsync(["topic", "produce", "events"], "{\"a\": 1}\n{\"a\": \"x\"}\n{\"a\": 3}\n")).Code);
        var file = Path.Combine(Folder, "events.yaml");
        await File.WriteAllTextAsync(file, """
            pipeline: events
            sources:
              events: {from: "kafka:events", schema: {a: bigint}}
            sinks:
              events: [iceberg:s.events?commit=1s, topic:copies]
            """);
        await Platform.DoAsync("run", file);
        await Platform.UntilJobAsync(
            "events", job => job.Committed("iceberg:s.events") == 2 && job.Committed("kafka:copies") == 2, "two rows in the table and in the topic");
        Assert.Contains("\"a\"", (await Platform.DoAsync("topic", "tail", "copies")).Output, StringComparison.Ordinal);
        Assert.Contains("alice", (await Platform.DoAsync("user", "list")).Output, StringComparison.Ordinal);
        await Platform.DoAsync("user", "remove", "alice");
        Assert.Equal(2, (await Platform.CommandAsync(["user", "remove", "alice"])).Code);
    }

    private async Task UserAsync(string name, string password)
    {
        var answer = await Platform.CommandAsync(["user", "add", name], password + "\n");
        Assert.True(answer.Code == 0, answer.Errors);
    }

    private Task<string> KcatAsync(string user, string password, string mechanism, string? input, params string[] arguments) => Programs.KcatAsync(
        Platform.Brokers, input,
        ["-X", "security.protocol=SASL_SSL", "-X", "sasl.mechanisms=" + mechanism, "-X", "sasl.username=" + user, "-X", "sasl.password=" + password,
            "-X", "ssl.ca.location=" + Certificate, .. arguments]);

    private string Config(string user, string password)
    {
        var path = Path.Combine(Folder, user + ".properties");
        File.WriteAllText(path, $"""
            security.protocol=SASL_SSL
            sasl.mechanism=SCRAM-SHA-512
            sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="{user}" password="{password}";
            ssl.truststore.type=PEM
            ssl.truststore.location={Certificate}
            """);
        return path;
    }

    private void WriteCertificate()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(Certificate, certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(Folder, "broker.key"), key.ExportPkcs8PrivateKeyPem());
    }
}
