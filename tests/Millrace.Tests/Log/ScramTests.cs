using System.Text;
using Millrace.Log.Security;
using Millrace.Storage.Files;

namespace Millrace.Tests.Log;

public sealed class ScramTests
{
    [Fact]
    public void A_login_goes_as_in_RFC_7677()
    {
        var salt = Convert.FromBase64String("W22ZaJ0SNY7soEsUEjb6gQ==");
        var credential = ScramHash.Sha256.Credential(salt, 4096, ScramHash.Sha256.Salted("pencil", salt, 4096));
        var login = new ScramLogin(ScramHash.Sha256, user => user == "user" ? credential : null, [1], "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        Assert.Equal(
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            Encoding.UTF8.GetString(login.First("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"u8)));
        Assert.Equal(
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            Encoding.UTF8.GetString(login.Final("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="u8)));
        Assert.Equal("user", login.User);
    }

    [Theory]
    [InlineData("")]
    [InlineData("n,,")]
    [InlineData("n,,n=u")]
    [InlineData("n,,n=u,r=")]
    [InlineData("p=tls-unique,,n=u,r=x")]
    [InlineData("n,a=other,n=u,r=x")]
    public void What_is_no_first_message_is_refused(string message) =>
        Assert.Throws<LoginException>(() => new ScramLogin(ScramHash.Sha256, _ => null, [1]).First(Encoding.UTF8.GetBytes(message)));

    [Fact]
    public void Who_asks_for_a_user_that_is_not_there_learns_nothing()
    {
        byte[] secret = [1, 2, 3];
        string Salt(string user) => Encoding.UTF8.GetString(new ScramLogin(ScramHash.Sha512, _ => null, secret).First(Encoding.UTF8.GetBytes($"n,,n={user},r=x"))).Split(',')[1];
        Assert.Equal(Salt("nobody"), Salt("nobody"));
        Assert.NotEqual(Salt("nobody"), Salt("somebody"));
        var login = new ScramLogin(ScramHash.Sha512, _ => null, secret);
        var first = Encoding.UTF8.GetString(login.First("n,,n=nobody,r=x"u8));
        var final = $"c=biws,{first.Split(',')[0]},p={Convert.ToBase64String(new byte[64])}";
        Assert.Equal("wrong user or password", Assert.Throws<LoginException>(() => login.Final(Encoding.UTF8.GetBytes(final))).Message);
    }

    [Fact]
    public void Passwords_are_not_kept_and_users_are_there_again_after_a_restart()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-security-").FullName;
        try
        {
            var store = SecurityStore.Open(DiskFileSystem.Instance, folder);
            Assert.True(store.SetPassword("alice", "wonderland-42"));
            Assert.False(store.SetPassword("alice", "wonderland-43"));
            Assert.DoesNotContain("wonderland", File.ReadAllText(Path.Combine(folder, SecurityStore.FileName)), StringComparison.Ordinal);
            var again = SecurityStore.Open(DiskFileSystem.Instance, folder);
            Assert.Equal("alice", new SaslLogin(again, "PLAIN").Let(l => { l.Step("\0alice\0wonderland-43"u8); return l.User; }));
            Assert.Throws<LoginException>(() => new SaslLogin(again, "PLAIN").Step("\0alice\0wonderland-42"u8));
            Assert.Throws<LoginException>(() => new SaslLogin(again, "PLAIN").Step("\0bob\0wonderland-42"u8));
            Assert.True(again.RemoveUser("alice"));
            Assert.Empty(SecurityStore.Open(DiskFileSystem.Instance, folder).Users());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Rules_are_weighed_as_Kafka_does()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-security-").FullName;
        try
        {
            var store = SecurityStore.Open(DiskFileSystem.Instance, folder);
            store.Change(state => (state with
            {
                Acls = new HashSet<Acl>
                {
                    new(ResourceType.Topic, "orders", PatternType.Literal, "User:alice", "*", AclOperation.Read, AclPermission.Allow),
                    new(ResourceType.Topic, "pay", PatternType.Prefixed, "User:*", "10.0.0.1", AclOperation.All, AclPermission.Allow),
                    new(ResourceType.Topic, "payroll", PatternType.Literal, "User:bob", "*", AclOperation.Write, AclPermission.Deny),
                    new(ResourceType.Group, "*", PatternType.Literal, "User:alice", "*", AclOperation.Read, AclPermission.Allow),
                },
            }, true));
            var rules = new Authorizer(store, new BrokerSecurity { SuperUsers = ["root"] });
            bool May(string user, AclOperation operation, string topic, string host = "127.0.0.1") => rules.Allows("User:" + user, host, operation, ResourceType.Topic, topic);
            Assert.True(May("alice", AclOperation.Read, "orders"));
            Assert.True(May("alice", AclOperation.Describe, "orders"));
            Assert.False(May("alice", AclOperation.Write, "orders"));
            Assert.False(May("bob", AclOperation.Read, "orders"));
            Assert.False(May("alice", AclOperation.Read, "nothing"));
            Assert.True(May("root", AclOperation.Alter, "nothing"));
            Assert.True(May("carol", AclOperation.Write, "payments", "10.0.0.1"));
            Assert.False(May("carol", AclOperation.Write, "payments"));
            Assert.False(May("bob", AclOperation.Write, "payroll", "10.0.0.1"));
            Assert.True(May("bob", AclOperation.Read, "payroll", "10.0.0.1"));
            Assert.True(rules.Allows("User:alice", "x", AclOperation.Read, ResourceType.Group, "any"));
            Assert.False(rules.AllowsSome("User:alice", "x", AclOperation.Write, ResourceType.Topic));
            Assert.True(new Authorizer(store, new BrokerSecurity { AllowWithoutAcl = true }).Allows("User:x", "x", AclOperation.Write, ResourceType.Topic, "nothing"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void The_most_specific_quota_holds_and_debt_is_waited_off()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-security-").FullName;
        try
        {
            var book = new QuotaBook(SecurityStore.Open(DiskFileSystem.Instance, folder),
            [
                new ClientQuota(null, "loader", QuotaKind.ProducerBytes, 1000), new ClientQuota("alice", null, QuotaKind.ProducerBytes, 500),
                new ClientQuota(ClientQuota.Default, null, QuotaKind.Requests, 10),
            ]);
            Assert.Equal(0, book.Charge("User:bob", "other", QuotaKind.ProducerBytes, 1 << 30, 0));
            // One second's worth is free, then the debt is told.
            Assert.Equal(0, book.Charge("User:bob", "loader", QuotaKind.ProducerBytes, 1000, 0));
            Assert.Equal(2000, book.Charge("User:bob", "loader", QuotaKind.ProducerBytes, 2000, 0));
            Assert.Equal(1000, book.Charge("User:carol", "loader", QuotaKind.ProducerBytes, 0, 1000));
            Assert.Equal(1000, book.Charge("User:alice", "loader", QuotaKind.ProducerBytes, 1000, 0));
            for (var i = 0; i < 10; i++)
                Assert.Equal(0, book.Charge("User:dave", null, QuotaKind.Requests, 1, 5000));
            Assert.Equal(100, book.Charge("User:dave", null, QuotaKind.Requests, 1, 5000));
            Assert.Equal(0, book.Charge("User:erin", null, QuotaKind.Requests, 1, 5000));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}

file static class Chaining
{
    public static TResult Let<T, TResult>(this T value, Func<T, TResult> then) => then(value);
}
