using System.Net;
using System.Net.Http.Headers;
using Millrace.WebConsole;

namespace Millrace.Tests.WebConsole;

/// <summary>What a foreign web page in the user's browser could try against loopback.</summary>
public sealed class GuardTests
{
    [Theory]
    [InlineData("evil.example", 421)]
    [InlineData("console.lan", 200)]
    [InlineData("localhost", 200)]
    [InlineData("127.0.0.1", 200)]
    [InlineData("[::1]", 200)]
    public async Task Only_addresses_and_allowed_names_are_taken_as_host(string host, int expected)
    {
        await using var console = await ConsoleFixture.StartAsync(new ConsoleOptions { AllowedHosts = ["console.lan"] });
        using var request = new HttpRequestMessage(HttpMethod.Get, "/healthz");
        request.Headers.Host = $"{host}:{console.Server.Address.Port}";
        using var response = await console.Client.SendAsync(request);
        Assert.Equal(expected, (int)response.StatusCode);
    }

    [Theory]
    [InlineData("Origin", "http://evil.example")]
    [InlineData("Origin", "null")]
    [InlineData("Sec-Fetch-Site", "cross-site")]
    [InlineData("Sec-Fetch-Site", "same-site")]
    public async Task A_page_of_another_origin_changes_nothing(string header, string value)
    {
        await using var console = await ConsoleFixture.StartAsync();
        foreach (var (method, path) in new[] { ("POST", "/api/topics"), ("DELETE", "/api/topics/orders") })
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), path);
            request.Headers.Add(header, value);
            request.Content = new StringContent("""{"name":"x"}""", new MediaTypeHeaderValue("application/json"));
            using var response = await console.Client.SendAsync(request);
            Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
        }
        Assert.Single(console.Services.Topics.All);
    }

    [Fact]
    public async Task Our_own_page_may_change_things()
    {
        await using var console = await ConsoleFixture.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/topics");
        request.Headers.Add("Origin", console.Server.Address.GetLeftPart(UriPartial.Authority));
        request.Headers.Add("Sec-Fetch-Site", "same-origin");
        request.Content = new StringContent("""{"name":"x"}""", new MediaTypeHeaderValue("application/json"));
        using var response = await console.Client.SendAsync(request);
        Assert.Equal(HttpStatusCode.Created, response.StatusCode);
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("multipart/form-data")]
    public async Task A_forms_content_type_is_refused(string contentType)
    {
        await using var console = await ConsoleFixture.StartAsync();
        Assert.Equal(415, (await console.SendAsync("POST", "/api/topics", """{"name":"x"}""", contentType)).Status);
        Assert.Equal(415, (await console.SendAsync("POST", "/api/jobs", "pipeline: x", contentType)).Status);
    }

    [Fact]
    public async Task Bodies_are_bounded()
    {
        await using var console = await ConsoleFixture.StartAsync(new ConsoleOptions { MaxBodyBytes = 1000 });
        var (status, problem) = await console.SendAsync("POST", "/api/lint", new string('x', 2000), "application/yaml");
        Assert.Equal(413, status);
        Assert.Contains("too large", problem.GetProperty("detail").GetString());
    }

    [Fact]
    public async Task Every_answer_forbids_outside_sources_and_allows_no_other_origin()
    {
        await using var console = await ConsoleFixture.StartAsync();
        foreach (var path in new[] { "/", "/api", "/api/status", "/nothing" })
        {
            using var response = await console.Client.GetAsync(path);
            var policy = response.Headers.GetValues("Content-Security-Policy").Single();
            Assert.Contains("default-src 'none'", policy);
            Assert.DoesNotContain("unsafe", policy);
            Assert.DoesNotContain("http", policy);
            Assert.False(response.Headers.Contains("Access-Control-Allow-Origin"));
            Assert.Equal("nosniff", response.Headers.GetValues("X-Content-Type-Options").Single());
        }
    }

    [Fact]
    public async Task It_listens_on_loopback_unless_told_otherwise()
    {
        await using var console = await ConsoleFixture.StartAsync();
        Assert.True(IPAddress.IsLoopback(IPAddress.Parse(console.Server.Address.Host)));
    }
}
