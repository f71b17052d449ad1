using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.Extensions.Logging;
using Millrace.Schemas;
using Millrace.Tests.WebConsole.Fakes;
using Millrace.WebConsole;
using Millrace.WebConsole.Http;
using Millrace.WebConsole.Seams;

namespace Millrace.Tests.WebConsole;

/// <summary>The HTTP port of a platform whose Kafka port has users.</summary>
public sealed class LoginTests
{
    [Theory]
    [InlineData("/")]
    [InlineData("/api/topics")]
    [InlineData("/metrics")]
    [InlineData("/openapi.json")]
    [InlineData("/schema-registry/subjects")]
    [InlineData("/iceberg/v1/config")]
    [InlineData("/nothing")]
    public async Task Nothing_is_answered_without_a_login(string path)
    {
        await using var test = await Test.StartAsync();
        using var open = await test.GetAsync(path);
        Assert.Equal(HttpStatusCode.Unauthorized, open.StatusCode);
        Assert.StartsWith("Basic ", open.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
        using var wrong = await test.GetAsync(path, "root:guess");
        Assert.Equal(HttpStatusCode.Unauthorized, wrong.StatusCode);
        using var right = await test.GetAsync(path, "root:r:1");
        Assert.NotEqual(HttpStatusCode.Unauthorized, right.StatusCode);
    }

    [Fact]
    public async Task Probes_are_open()
    {
        await using var test = await Test.StartAsync();
        foreach (var path in new[] { "/healthz", "/readyz" })
        {
            using var answer = await test.GetAsync(path);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
    }

    [Theory]
    [InlineData("GET", "/api/topics")]
    [InlineData("DELETE", "/api/users/root")]
    [InlineData("GET", "/")]
    public async Task A_user_who_is_no_super_user_reaches_the_registry_alone(string method, string path)
    {
        await using var test = await Test.StartAsync();
        using var answer = await test.SendAsync(new HttpMethod(method), path, "alice:a");
        Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
        using var registry = await test.GetAsync("/subjects", "alice:a");
        Assert.Equal(HttpStatusCode.OK, registry.StatusCode);
    }

    [Fact]
    public async Task A_browser_gets_a_cookie_that_stands_for_the_login_until_the_password_changes()
    {
        await using var test = await Test.StartAsync();
        using var first = await test.SendAsync(HttpMethod.Get, "/api/topics", "root:r:1", browser: true);
        var cookie = Assert.Single(first.Headers.GetValues("Set-Cookie"));
        Assert.Contains("httponly", cookie, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("samesite=strict", cookie, StringComparison.OrdinalIgnoreCase);
        var token = cookie.Split(';')[0];
        using (var second = await test.SendAsync(HttpMethod.Get, "/api/topics", null, cookie: token))
            Assert.Equal(HttpStatusCode.OK, second.StatusCode);
        using (var forged = await test.SendAsync(HttpMethod.Get, "/api/topics", null, cookie: LoginGuard.Cookie + "=" + new string('0', 64)))
            Assert.Equal(HttpStatusCode.Unauthorized, forged.StatusCode);
        test.Access.Passwords["root"] = "other";
        using (var late = await test.SendAsync(HttpMethod.Get, "/api/topics", null, cookie: token))
            Assert.Equal(HttpStatusCode.Unauthorized, late.StatusCode);
        using (var old = await test.GetAsync("/api/topics", "root:r:1"))
            Assert.Equal(HttpStatusCode.Unauthorized, old.StatusCode);
    }

    [Fact]
    public async Task A_password_is_checked_once_and_never_logged()
    {
        await using var test = await Test.StartAsync();
        for (var i = 0; i < 5; i++)
        {
            using var answer = await test.GetAsync("/api/topics", "root:r:1");
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        Assert.Equal(1, test.Access.Checks);
        using (await test.GetAsync("/api/topics", "root:topsecret"))
        {
        }
        Assert.Contains(test.Lines, l => l.Contains("as root failed", StringComparison.Ordinal));
        Assert.DoesNotContain(test.Lines, l => l.Contains("topsecret", StringComparison.Ordinal) || l.Contains(Convert.ToBase64String("root:topsecret"u8), StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_person_is_shown_a_form_and_brought_back_to_the_page_that_was_asked_for()
    {
        await using var test = await Test.StartAsync();
        using var open = await test.SendAsync(HttpMethod.Get, "/api?x=1", null, headers: ("Accept", "text/html,*/*"));
        Assert.Equal((HttpStatusCode.SeeOther, "/login?to=%2Fapi%3Fx%3D1"), (open.StatusCode, open.Headers.Location!.OriginalString));
        using var form = await test.GetAsync("/login?to=%2Fapi%3Fx%3D1%22%3E");
        Assert.Equal(HttpStatusCode.OK, form.StatusCode);
        Assert.Contains("value=\"/api?x=1&quot;&gt;\"", await form.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Contains("form-action 'self'", form.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        foreach (var asset in new[] { "/login/style.css", "/login/mark.svg" })
        {
            using var answer = await test.GetAsync(asset);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        using var entered = await test.LogInAsync("root", "r:1", "/api?x=1");
        Assert.Equal((HttpStatusCode.SeeOther, "/api?x=1"), (entered.StatusCode, entered.Headers.Location!.OriginalString));
        var cookie = entered.Headers.GetValues("Set-Cookie").Single();
        Assert.Contains("httponly", cookie, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("samesite=strict", cookie, StringComparison.OrdinalIgnoreCase);
        var token = cookie.Split(';')[0];
        using (var user = await test.SendAsync(HttpMethod.Get, "/login/user", null, cookie: token))
            Assert.Equal("{\"user\":\"root\"}", await user.Content.ReadAsStringAsync());
        using (var leave = await test.SendAsync(HttpMethod.Post, "/logout", null, cookie: token, json: true))
            Assert.Equal(HttpStatusCode.NoContent, leave.StatusCode);
        using (var late = await test.SendAsync(HttpMethod.Get, "/api/topics", null, cookie: token))
            Assert.Equal(HttpStatusCode.Unauthorized, late.StatusCode);
    }

    [Theory]
    [InlineData("root", "guess", "is wrong")]
    [InlineData("", "", "is wrong")]
    [InlineData("<b>", "x", "value=\"&lt;b&gt;\"")]
    [InlineData("alice", "a", "may use the schema registry")]
    public async Task The_form_says_why_somebody_does_not_come_in(string user, string password, string reason)
    {
        await using var test = await Test.StartAsync();
        using var refused = await test.LogInAsync(user, password, "/");
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        Assert.False(refused.Headers.Contains("Set-Cookie"));
        Assert.Contains(reason, await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("//elsewhere.example/")]
    [InlineData("/\\elsewhere.example")]
    [InlineData("https://elsewhere.example/")]
    [InlineData("/\r\nSet-Cookie: a=b")]
    public async Task The_form_leads_to_no_other_server(string to)
    {
        await using var test = await Test.StartAsync();
        using var entered = await test.LogInAsync("root", "r:1", to);
        Assert.Equal((HttpStatusCode.SeeOther, "/"), (entered.StatusCode, entered.Headers.Location!.OriginalString));
    }

    [Fact]
    public async Task The_form_of_another_page_is_not_taken()
    {
        await using var test = await Test.StartAsync();
        using var foreign = await test.LogInAsync("root", "r:1", "/", origin: "https://elsewhere.example");
        Assert.Equal(HttpStatusCode.Forbidden, foreign.StatusCode);
        Assert.False(foreign.Headers.Contains("Set-Cookie"));
    }

    [Fact]
    public async Task What_a_page_fetches_without_a_session_makes_the_browser_ask_for_nothing()
    {
        await using var test = await Test.StartAsync();
        using var fetched = await test.SendAsync(HttpMethod.Get, "/api/topics", null, headers: ("Sec-Fetch-Mode", "cors"));
        Assert.Equal(HttpStatusCode.Unauthorized, fetched.StatusCode);
        Assert.Empty(fetched.Headers.WwwAuthenticate);
    }

    [Fact]
    public async Task With_a_certificate_the_port_speaks_TLS_and_a_registry_client_logs_in_that_knows_it()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=elsewhere", key, HashAlgorithmName.SHA256);
        using var made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        using var certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
        var options = new ConsoleOptions
        {
            Port = 0, FailedLoginDelay = TimeSpan.Zero, Certificate = SslStreamCertificateContext.Create(certificate, null, offline: true),
        };
        var services = new FakeServices().Build() with { Access = new FakeAccess() };
        await using var server = await ConsoleServer.StartAsync(options, services, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, TimeProvider.System, default);
        Assert.Equal("https", server.Address.Scheme);
        var address = new Uri(server.Address, "/schema-registry");
        var pin = certificate.GetCertHashString(HashAlgorithmName.SHA256);
        RegistryClient Client(string user, string pinned) => new(
            address, TimeSpan.FromSeconds(20), new Dictionary<string, string> { ["basic.auth.user.info"] = user, [HttpTrust.PinnedCertificate] = pinned });
        using (var right = Client("alice:a", pin))
            Assert.Equal((200, "[]"), right.Send("GET", "/subjects"));
        using (var wrong = Client("alice:b", pin))
            Assert.Equal(401, wrong.Send("GET", "/subjects").Status);
        using (var stranger = Client("alice:a", new string('0', 64)))
            Assert.Throws<RegistryUnreachableException>(() => stranger.Send("GET", "/subjects"));
        using (var nobody = new RegistryClient(address, TimeSpan.FromSeconds(20)))
            Assert.Throws<RegistryUnreachableException>(() => nobody.Send("GET", "/subjects"));
    }

    private sealed class Test : IAsyncDisposable, ILoggerFactory, ILogger
    {
        private readonly HttpClient _client = new(new SocketsHttpHandler { UseCookies = false, AllowAutoRedirect = false });
        private ConsoleServer _server = null!;

        public FakeAccess Access { get; } = new();

        public System.Collections.Concurrent.ConcurrentQueue<string> Lines { get; } = new();

        public static async Task<Test> StartAsync()
        {
            var test = new Test();
            test._server = await ConsoleServer.StartAsync(
                new ConsoleOptions { Port = 0, FailedLoginDelay = TimeSpan.Zero }, new FakeServices().Build() with { Access = test.Access }, test, TimeProvider.System, default);
            return test;
        }

        public Task<HttpResponseMessage> GetAsync(string path, string? user = null) => SendAsync(HttpMethod.Get, path, user);

        public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string? user, bool browser = false, string? cookie = null, bool json = false, params (string Name, string Value)[] headers)
        {
            using var request = new HttpRequestMessage(method, new Uri(_server.Address, path));
            foreach (var (name, value) in headers)
                request.Headers.TryAddWithoutValidation(name, value);
            if (json)
                request.Content = new StringContent("{}", Encoding.UTF8, "application/json");
            if (user is not null)
                request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(user)));
            if (browser)
                request.Headers.Add("Sec-Fetch-Site", "same-origin");
            if (cookie is not null)
                request.Headers.Add("Cookie", cookie);
            return await _client.SendAsync(request);
        }

        /// <summary>Sends the form of the login page.</summary>
        public async Task<HttpResponseMessage> LogInAsync(string user, string password, string to, string? origin = null)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_server.Address, "/login"));
            request.Content = new FormUrlEncodedContent(new Dictionary<string, string> { ["user"] = user, ["password"] = password, ["to"] = to });
            request.Headers.Add("Origin", origin ?? _server.Address.GetLeftPart(UriPartial.Authority));
            return await _client.SendAsync(request);
        }

        public async ValueTask DisposeAsync()
        {
            _client.Dispose();
            await _server.DisposeAsync();
        }

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Enqueue($"{formatter(state, exception)} {exception}");

        public void Dispose()
        {
        }
    }

    private sealed class FakeAccess : IAccess
    {
        public Dictionary<string, string> Passwords { get; } = new() { ["root"] = "r:1", ["alice"] = "a" };

        public int Checks { get; private set; }

        public Visitor? Check(string user, string password)
        {
            Checks++;
            return Passwords.GetValueOrDefault(user) == password ? new Visitor(user, user == "root", password) : null;
        }

        public bool Holds(Visitor visitor) => Passwords.GetValueOrDefault(visitor.User) == (string)visitor.Login;
    }
}
