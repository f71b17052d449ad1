using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Millrace.Interop.EndToEnd;

namespace Millrace.Interop.Log;

/// <summary>A platform whose Kafka port asks for certificates and whose HTTP port asks for logins, used as the guide says.</summary>
public sealed class GuardedPlatformTests : PlatformTests
{
    private string Ca => Path.Combine(Folder, "ca.pem");

    public override async Task InitializeAsync()
    {
        using var authority = Authority();
        File.WriteAllText(Ca, authority.ExportCertificatePem());
        WriteSigned(authority, "CN=localhost", "broker");
        WriteSigned(authority, "CN=Alice,OU=Web", "alice");
        WriteSigned(authority, "CN=admin,OU=Ops", "admin");
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
                client_certificates: required
                principal_names: ["RULE:^CN=([^,]+),OU=(?:Web|Ops)$/$1/L"]
                sasl: [PLAIN]
                super_users: [admin]
            client: {security.protocol: SASL_SSL, sasl.mechanisms: PLAIN, sasl.username: admin, sasl.password: adminpw, ssl.ca.location: {{Ca}}, ssl.certificate.location: {{Path.Combine(Folder, "admin.pem")}}, ssl.key.location: {{Path.Combine(Folder, "admin.key")}}}
            """, StringComparison.Ordinal);
        text = System.Text.RegularExpressions.Regex.Replace(text, @"http: \{port: (\d+)\}", "http: {port: $1, login: true}");
        Assert.Contains("login: true", text, StringComparison.Ordinal);
        await File.WriteAllTextAsync(file, text);
        foreach (var user in new[] { "admin", "alice" })
            Assert.Equal(0, (await Platform.CommandAsync(["user", "add", user], user + "pw\n")).Code);
        await base.InitializeAsync();
    }

    [ProgramFact("kcat")]
    public async Task Logins_certificates_pipelines_and_the_registry_work_together_and_nothing_is_open()
    {
        // The embedded registry is asked by the pipeline as the process's own user, and by the command line as the user of client:.
        await Platform.DoAsync("topic", "create", "events", "--partitions", "1");
        var schema = Path.Combine(Folder, "e.avsc");
        await File.WriteAllTextAsync(schema, """{"type":"record","name":"E","fields":[{"name":"a","type":"long"}]}""");
        await Platform.DoAsync("schema", "register", "events-value", schema);
        var file = Path.Combine(Folder, "events.yaml");
        await File.WriteAllTextAsync(file, """
            pipeline: events
            sources:
              events: {from: "kafka:events", format: avro}
            sinks:
              events: topic:copies
            """);
        await Platform.DoAsync("run", file);
        var frame = Path.Combine(Folder, "frame.bin");
        await File.WriteAllBytesAsync(frame, [0, 0, 0, 0, 1, 14]);
        await KcatAsync("admin", "-P", "-t", "events", "-p", "0", frame);
        var deadline = DateTime.UtcNow.AddSeconds(60);
        while ((await Platform.DoAsync("job", "show", "events", "--json")).Json["job"]!.Committed("kafka:copies") != 1)
            Assert.True(DateTime.UtcNow < deadline, "the row does not reach the topic\n" + Platform.Errors);

        using var http = new HttpClient { BaseAddress = Platform.Address };
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.GetAsync("/api/topics")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.GetAsync("/subjects")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/healthz")).StatusCode);
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes("alice:alicepw")));
        Assert.Equal("[\"events-value\"]", await http.GetStringAsync("/subjects"));
        Assert.Equal(HttpStatusCode.Forbidden, (await http.GetAsync("/api/topics")).StatusCode);

        // Without a certificate no login is even asked for; alice sees no topic that no rule gives her.
        await Assert.ThrowsAnyAsync<Exception>(() => Programs.KcatAsync(
            Platform.Brokers, null, "-X", "security.protocol=SASL_SSL", "-X", "sasl.mechanisms=PLAIN", "-X", "sasl.username=admin", "-X", "sasl.password=adminpw", "-X", "ssl.ca.location=" + Ca,
            "-X", "enable.ssl.certificate.verification=false", "-L", "-m", "5"));
        Assert.DoesNotContain("\"events\"", await KcatAsync("alice", "-L"), StringComparison.Ordinal);
        Assert.Contains("\"events\"", await KcatAsync("admin", "-L"), StringComparison.Ordinal);
        Assert.DoesNotContain("adminpw", Platform.Errors, StringComparison.Ordinal);
    }

    private Task<string> KcatAsync(string user, params string[] arguments) => Programs.KcatAsync(
        Platform.Brokers, null,
        ["-X", "security.protocol=SASL_SSL", "-X", "sasl.mechanisms=PLAIN", "-X", "sasl.username=" + user, "-X", $"sasl.password={user}pw",
            "-X", "ssl.ca.location=" + Ca, "-X", "ssl.certificate.location=" + Path.Combine(Folder, user + ".pem"), "-X", "ssl.key.location=" + Path.Combine(Folder, user + ".key"),
            .. arguments]);

    internal static X509Certificate2 Authority()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=Shop CA", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-2), DateTimeOffset.UtcNow.AddDays(2));
    }

    private void WriteSigned(X509Certificate2 authority, string name, string file) => WriteSigned(Folder, authority, name, file);

    internal static void WriteSigned(string folder, X509Certificate2 authority, string name, string file)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.Create(authority, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1), RandomNumberGenerator.GetBytes(8));
        File.WriteAllText(Path.Combine(folder, file + ".pem"), signed.ExportCertificatePem());
        File.WriteAllText(Path.Combine(folder, file + ".key"), key.ExportPkcs8PrivateKeyPem());
    }
}
