using Millrace.Interop.EndToEnd;
using Millrace.Tests;

namespace Millrace.Interop.Log;

/// <summary>A Kafka port without passwords: who a client is, its certificate says.</summary>
public sealed class CertificateUserTests : PlatformTests
{
    private string Ca => Path.Combine(Folder, "ca.pem");

    public override async Task InitializeAsync()
    {
        using var authority = GuardedPlatformTests.Authority();
        using var stranger = GuardedPlatformTests.Authority();
        await File.WriteAllTextAsync(Ca, authority.ExportCertificatePem());
        GuardedPlatformTests.WriteSigned(Folder, authority, "CN=localhost", "broker");
        GuardedPlatformTests.WriteSigned(Folder, authority, "CN=Alice,OU=Web", "alice");
        GuardedPlatformTests.WriteSigned(Folder, authority, "CN=admin,OU=Ops", "admin");
        GuardedPlatformTests.WriteSigned(Folder, stranger, "CN=admin,OU=Ops", "forged");
        var file = Path.Combine(Folder, "millrace.yaml");
        var text = await File.ReadAllTextAsync(file);
        text = text.Replace(
            $"kafka: {{port: {Platform.KafkaPort}}}", $$"""
            kafka:
              port: {{Platform.KafkaPort}}
              security:
                certificate: {{Path.Combine(Folder, "broker.pem")}}
                key: {{Path.Combine(Folder, "broker.key")}}
                client_ca: {{Ca}}
                principal_names: ["RULE:^CN=([^,]+),OU=.*$/$1/L"]
                super_users: [admin]
            client: {security.protocol: SSL, ssl.ca.location: {{Ca}}, ssl.certificate.location: {{Path.Combine(Folder, "admin.pem")}}, ssl.key.location: {{Path.Combine(Folder, "admin.key")}}}
            """, StringComparison.Ordinal);
        await File.WriteAllTextAsync(file, text);
        await base.InitializeAsync();
    }

    [EngineFact("kafka")]
    public async Task Rules_hold_for_the_names_that_certificates_give_and_pipelines_have_their_own()
    {
        await Platform.DoAsync("topic", "create", "orders", "--partitions", "1");
        await Platform.DoAsync("topic", "create", "secret", "--partitions", "1");
        string[] to = ["--bootstrap-server", Platform.Brokers, "--command-config", Config("admin")];
        await Programs.KafkaAsync("acls", null, [.. to, "--add", "--allow-principal", "User:alice", "--producer", "--topic", "orders"]);
        await KcatAsync("alice", "{\"a\": 1}\n", "-P", "-t", "orders", "-p", "0");
        var seen = await KcatAsync("alice", null, "-L");
        Assert.Contains("\"orders\"", seen, StringComparison.Ordinal);
        Assert.DoesNotContain("\"secret\"", seen, StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<Exception>(() => KcatAsync("forged", null, "-L", "-m", "5"));
        // The process's own clients have a certificate that no authority signed.
        var file = Path.Combine(Folder, "orders.yaml");
        await File.WriteAllTextAsync(file, """
            pipeline: copy
            sources:
              orders: {from: "kafka:orders", schema: {a: bigint}}
            sinks:
              orders: topic:copies
            """);
        await Platform.DoAsync("run", file);
        await Platform.UntilJobAsync("copy", job => job.Committed("kafka:copies") == 1, "the row in the topic");
    }

    private Task<string> KcatAsync(string user, string? input, params string[] arguments) => Programs.KcatAsync(
        Platform.Brokers, input,
        ["-X", "security.protocol=SSL", "-X", "ssl.ca.location=" + Ca, "-X", "ssl.certificate.location=" + Path.Combine(Folder, user + ".pem"),
            "-X", "ssl.key.location=" + Path.Combine(Folder, user + ".key"), .. arguments]);

    private string Config(string user)
    {
        var both = Path.Combine(Folder, user + "-both.pem");
        File.WriteAllText(both, File.ReadAllText(Path.Combine(Folder, user + ".key")) + "\n" + File.ReadAllText(Path.Combine(Folder, user + ".pem")));
        var path = Path.Combine(Folder, user + ".properties");
        File.WriteAllText(path, $"""
            security.protocol=SSL
            ssl.truststore.type=PEM
            ssl.truststore.location={Ca}
            ssl.keystore.type=PEM
            ssl.keystore.location={both}
            """);
        return path;
    }
}
