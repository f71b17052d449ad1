using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Host.Platform;
using Millrace.Host.Settings;
using Millrace.Streams.Alerts;

namespace Millrace.Tests.Host;

public sealed class LagAlertTests : IAlertSender
{
    private readonly List<(string Key, JsonNode Body)> _posted = [];
    private readonly Dictionary<string, long> _lags = [];
    private readonly Clock _clock = new();
    private bool _down;

    [Fact]
    public async Task A_group_that_stays_behind_is_told_once_and_once_more_when_it_has_caught_up()
    {
        await using var alert = Alert();
        await LookAsync(alert, 150);
        await LookAsync(alert, 50);
        await LookAsync(alert, 150);
        Assert.Empty(_posted);
        _clock.Now += TimeSpan.FromMinutes(1);
        _down = true;
        await LookAsync(alert, 200);
        _down = false;
        await LookAsync(alert, 210);
        await LookAsync(alert, 220);
        var firing = Assert.Single(_posted).Body;
        Assert.Equal(("firing", "g", "lag"), (Text(firing["status"]), Text(firing["alerts"]![0]!["labels"]!["group"]), Text(firing["alerts"]![0]!["labels"]!["alertname"])));
        await LookAsync(alert, 0);
        await LookAsync(alert, 0);
        Assert.Equal(2, _posted.Count);
        Assert.Equal("resolved", Text(_posted[1].Body["status"]));
    }

    [Fact]
    public void Settings_name_whom_to_tell_and_a_target_that_is_not_there_is_refused_with_its_place()
    {
        var settings = SettingsFile.Parse("alerts: {lag: {over: 500, for: 2m, to: slack:ops}}\ntargets: {slack: {ops: 'https://hooks.example.com/x'}}", "f");
        Assert.Equal(new LagAlertSettings(500, TimeSpan.FromMinutes(2), "slack:ops"), settings.LagAlert);
        Assert.Equal("log", SettingsFile.Parse("alerts: {lag: {over: 500}}", "f").LagAlert!.To);
        Assert.Contains("f:1:9: no target is named", Assert.Throws<SettingsException>(() => SettingsFile.Parse("alerts: {lag: {to: slack:ops}}", "f")).Message, StringComparison.Ordinal);
    }

    Task IAlertSender.PostAsync(Uri address, ReadOnlyMemory<byte> json, string idempotencyKey, CancellationToken cancellation)
    {
        if (_down)
            throw new AlertRefusedException("down", retry: true);
        _posted.Add((idempotencyKey, JsonNode.Parse(Encoding.UTF8.GetString(json.Span))!));
        return Task.CompletedTask;
    }

    private LagAlert Alert() => new(
        new LagAlertSettings(100, TimeSpan.FromMinutes(1), "slack:ops"), () => _lags, new Uri("http://127.0.0.1/x"), this, _clock, NullLogger.Instance);

    private Task LookAsync(LagAlert alert, long lag)
    {
        _lags["g"] = lag;
        _clock.Now += TimeSpan.FromSeconds(1);
        return alert.LookAsync(CancellationToken.None);
    }

    private static string? Text(JsonNode? node) => node?.GetValue<string>();

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = DateTimeOffset.UnixEpoch;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
