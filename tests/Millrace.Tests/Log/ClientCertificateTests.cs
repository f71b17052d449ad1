using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;
using Millrace.Log.Security;

namespace Millrace.Tests.Log;

/// <summary>Clients that are who their certificate says.</summary>
public sealed class ClientCertificateTests
{
    [Fact]
    public async Task A_client_is_the_user_that_its_certificate_names_and_may_do_what_that_one_may()
    {
        using var authority = Authority("CN=Shop CA");
        await using var test = await StartAsync(authority, required: true);
        using var alice = Signed(authority, "CN=Alice,OU=Web,O=Shop");
        using var admin = Signed(authority, "CN=Root,O=Shop");
        Assert.Equal(["closed", "open"], (await TopicsAsync(test, admin))!.Order());
        Assert.Equal(["open"], await TopicsAsync(test, alice));
    }

    [Fact]
    public async Task Who_shows_no_certificate_or_one_that_nobody_known_signed_is_turned_away()
    {
        using var authority = Authority("CN=Shop CA");
        using var other = Authority("CN=Shop CA");
        await using var test = await StartAsync(authority, required: true);
        using var forged = Signed(other, "CN=Root,O=Shop");
        using var late = Signed(authority, "CN=Root,O=Shop", days: -1);
        using var server = Signed(authority, "CN=Root,O=Shop", usage: "1.3.6.1.5.5.7.3.1");
        foreach (var certificate in new[] { null, forged, late, server })
            Assert.Null(await TopicsAsync(test, certificate));
        await test.Line("no TLS");
    }

    [Fact]
    public async Task Where_certificates_are_optional_a_client_without_one_is_nobody_in_particular()
    {
        using var authority = Authority("CN=Shop CA");
        await using var test = await StartAsync(authority, required: false);
        Assert.Equal([], await TopicsAsync(test, null));
        using var admin = Signed(authority, "CN=Root,O=Shop");
        Assert.Equal(2, (await TopicsAsync(test, admin))!.Count);
    }

    [Theory]
    [InlineData("CN=Alice,OU=Web,O=Shop", "alice", "RULE:^CN=([^,]+),OU=Web.*$/$1/L", "DEFAULT")]
    [InlineData("CN=bob,OU=Ops", "BOB@OPS", "RULE:^CN=(.*?),OU=Web$/$1/", "RULE:^CN=(.*?),OU=(.*)$/$1@$2/U")]
    [InlineData("CN=eve", "CN=eve", "RULE:^CN=(.*?),OU=Web$/$1/", "DEFAULT")]
    [InlineData("CN=eve", null, "RULE:^CN=(.*?),OU=Web$/$1/")]
    [InlineData("CN=a/b", "a", "RULE:^CN=(.*)\\/b$/$1/")]
    public void Names_follow_from_subjects_by_the_first_rule_that_matches(string subject, string? name, params string[] rules) =>
        Assert.Equal(name, PrincipalNames.Parse(rules).Of(subject));

    [Fact]
    public void A_subject_is_written_as_Java_writes_it()
    {
        using var authority = Authority("CN=x");
        using var certificate = Signed(authority, "CN=\"Doe, John\",OU=Web,O=Shop,C=DE");
        Assert.Equal("CN=Doe\\, John,OU=Web,O=Shop,C=DE", PrincipalNames.Subject(certificate.SubjectName));
    }

    [Theory]
    [InlineData("CN=x")]
    [InlineData("RULE:^CN=(.*)$/$1")]
    [InlineData("RULE:^CN=(.*)$/$1/X")]
    [InlineData("RULE:(/$1/")]
    public void A_rule_that_is_none_is_refused(string rule) => Assert.Throws<FormatException>(() => PrincipalNames.Parse([rule]));

    [Fact]
    public void A_decision_is_remembered_until_the_rules_change()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-acl-").FullName;
        try
        {
            var store = SecurityStore.Open(Millrace.Storage.Files.DiskFileSystem.Instance, folder);
            var authorizer = new Authorizer(store, new BrokerSecurity { Mechanisms = [BrokerSecurity.Plain], MaxRememberedDecisions = 2 });
            bool May(string topic) => authorizer.Allows("User:a", "h", AclOperation.Read, ResourceType.Topic, topic);
            var rule = new Acl(ResourceType.Topic, "t", PatternType.Literal, "User:a", "*", AclOperation.Read, AclPermission.Allow);
            Assert.False(May("t"));
            store.Change(s => (s with { Acls = new HashSet<Acl>(s.Acls) { rule } }, true));
            Assert.True(May("t"));
            Assert.False(May("u"));
            Assert.False(May("v"));
            Assert.True(May("t"));
            store.Change(s => (s with { Acls = [] }, true));
            Assert.False(May("t"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<TestBroker> StartAsync(X509Certificate2 authority, bool required)
    {
        using var server = Signed(authority, "CN=localhost", usage: "1.3.6.1.5.5.7.3.1");
        var test = await TestBroker.StartAsync(o => o with
        {
            Security = new BrokerSecurity
            {
                Certificate = SslStreamCertificateContext.Create(X509CertificateLoader.LoadPkcs12(server.Export(X509ContentType.Pkcs12), null), null, offline: true),
                Clients = new ClientCertificates([authority], required, PrincipalNames.Parse(["RULE:^CN=([^,]+),.*$/$1/L"])),
                SuperUsers = ["root"],
            },
        });
        test.Broker.CreateTopic("open", 1);
        test.Broker.CreateTopic("closed", 1);
        test.Broker.Security.Change(s => (s with
        {
            Acls = new HashSet<Acl> { new(ResourceType.Topic, "open", PatternType.Literal, "User:alice", "*", AclOperation.Describe, AclPermission.Allow) },
        }, true));
        return test;
    }

    /// <summary>The topics that a client sees; null when it is not let in.</summary>
    private static async Task<List<string>?> TopicsAsync(TestBroker test, X509Certificate2? certificate)
    {
        try
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync(test.Broker.Endpoint);
            await using var tls = new SslStream(socket.GetStream());
            await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "localhost", RemoteCertificateValidationCallback = (_, shown, _, _) => shown is not null,
                ClientCertificates = certificate is null ? null : [certificate],
            });
            await tls.WriteAsync(WireClient.Frame(ApiKey.Metadata, 9, 1, new MetadataRequest()));
            var size = new byte[4];
            await tls.ReadExactlyAsync(size);
            var frame = new byte[BinaryPrimitives.ReadInt32BigEndian(size)];
            await tls.ReadExactlyAsync(frame);
            // Correlation id and an empty tag buffer come first.
            return [.. WireReader.Read<MetadataResponse>(frame.AsMemory(5), 9, flexible: true).Topics.Select(t => t.Name!)];
        }
        catch (IOException)
        {
            return null;
        }
        catch (System.Security.Authentication.AuthenticationException)
        {
            return null;
        }
    }

    private static X509Certificate2 Authority(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-9), DateTimeOffset.UtcNow.AddDays(9));
    }

    private static X509Certificate2 Signed(X509Certificate2 authority, string name, int days = 5, string usage = "1.3.6.1.5.5.7.3.2")
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        using var signed = request.Create(authority, DateTimeOffset.UtcNow.AddDays(-5), DateTimeOffset.UtcNow.AddDays(days), RandomNumberGenerator.GetBytes(8));
        using var whole = signed.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
    }
}
