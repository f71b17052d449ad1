using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Tests.WebConsole.Fakes;
using Millrace.WebConsole;
using Millrace.WebConsole.Events;

namespace Millrace.Tests.WebConsole;

public sealed class EventHubTests
{
    [Fact]
    public async Task A_new_connection_gets_the_present_state_and_then_nothing_while_nothing_changes()
    {
        await using var play = new Play();
        play.Services.Jobs.Start();
        var connection = play.Join();
        var frames = await play.PassAsync(TimeSpan.FromSeconds(10), connection);
        Assert.Equal(["overview", "output"], frames.Select(f => f.Kind).Order().Reverse());
    }

    [Fact]
    public async Task A_change_is_told_in_both_kinds_with_the_counters_it_reflects()
    {
        await using var play = new Play();
        var pipeline = play.Services.Jobs.Start();
        var connection = play.Join();
        await play.PassAsync(TimeSpan.FromSeconds(2), connection);
        pipeline.Status = pipeline.Reading(1234);
        pipeline.Raise();
        var frames = await play.PassAsync(TimeSpan.FromMilliseconds(200), connection);
        Assert.Contains("\"in\":1234,\"good\":1222,\"quarantined\":12", frames.Single(f => f.Kind == "overview").Text);
        var output = frames.Single(f => f.Kind == "output").Text;
        Assert.Contains("\"in\":1234,\"good\":1222,\"quarantined\":12,\"offsets\":[[0,1234]]", output);
        Assert.Contains("\"checkpoint\":7", output);
    }

    [Fact]
    public async Task Ten_frames_of_a_kind_a_second_are_sent_at_most()
    {
        await using var play = new Play();
        var pipeline = play.Services.Jobs.Start();
        var connection = play.Join();
        await play.PassAsync(TimeSpan.FromSeconds(1), connection);
        var frames = new List<(string Kind, string Text)>();
        for (var i = 0; i < 300; i++)
        {
            pipeline.Status = pipeline.Reading(i);
            pipeline.Raise();
            frames.AddRange(await play.PassAsync(TimeSpan.FromMilliseconds(10), connection));
        }
        Assert.InRange(frames.Count(f => f.Kind == "overview"), 15, 31);
        Assert.InRange(frames.Count(f => f.Kind == "output"), 15, 31);
    }

    [Fact]
    public async Task A_rate_that_falls_without_a_notice_is_seen_within_a_second()
    {
        await using var play = new Play();
        var pipeline = play.Services.Jobs.Start();
        var connection = play.Join();
        await play.PassAsync(TimeSpan.FromSeconds(1), connection);
        pipeline.Status = pipeline.Reading(5);
        var frames = await play.PassAsync(TimeSpan.FromSeconds(1.2), connection);
        Assert.Equal(["overview"], frames.Select(f => f.Kind));
    }

    [Fact]
    public async Task Silence_is_broken_by_a_comment_every_fifteen_seconds()
    {
        await using var play = new Play();
        var connection = play.Join();
        await play.PassAsync(TimeSpan.FromSeconds(1), connection);
        await play.PassAsync(TimeSpan.FromSeconds(60), connection);
        Assert.InRange(play.Comments, 3, 4);
    }

    [Fact]
    public async Task One_frame_is_built_once_for_all_connections()
    {
        await using var play = new Play();
        var pipeline = play.Services.Jobs.Start();
        var connections = Enumerable.Range(0, 5).Select(_ => play.Join()).ToArray();
        foreach (var connection in connections)
            await play.PassAsync(TimeSpan.FromSeconds(1), connection);
        var before = pipeline.LiveRowsRead;
        pipeline.Status = pipeline.Reading(9);
        pipeline.Raise();
        await play.PassAsync(TimeSpan.FromMilliseconds(150));
        var frames = connections.Select(c => { c.Frames.TryRead(out var a); c.Frames.TryRead(out var b); return (a, b); }).ToArray();
        Assert.Equal(before + 1, pipeline.LiveRowsRead);
        Assert.All(frames, f => Assert.True(f.a.Equals(frames[0].a) && f.b.Equals(frames[0].b)));
    }

    [Fact]
    public async Task A_client_that_does_not_read_is_dropped_and_the_others_go_on()
    {
        await using var play = new Play(new ConsoleOptions { MaxQueuedFrames = 4 });
        var pipeline = play.Services.Jobs.Start();
        var slow = play.Join();
        var quick = play.Join();
        var seen = 0;
        for (var i = 1; i <= 20; i++)
        {
            pipeline.Status = pipeline.Reading(i);
            pipeline.Raise();
            seen += (await play.PassAsync(TimeSpan.FromMilliseconds(200), quick)).Count;
        }
        Assert.True(slow.Dropped.IsCancellationRequested);
        Assert.False(quick.Dropped.IsCancellationRequested);
        Assert.True(seen > 20);
        Assert.Equal(1, play.Hub.Connections);
        Assert.Equal(1, play.Hub.DroppedConnections);
    }

    [Fact]
    public async Task A_client_that_leaves_while_its_frame_is_built_leaves_the_others_served()
    {
        await using var play = new Play();
        var pipeline = play.Services.Jobs.Start();
        var leaving = play.Join();
        var staying = play.Join();
        await play.PassAsync(TimeSpan.FromSeconds(1), staying);
        pipeline.Rows = _ =>
        {
            play.Hub.Leave(leaving);
            leaving.Dispose();
            return FakePipeline.Batch([("DE", 0, 1, 1)]);
        };
        for (var i = 1; i < 3; i++)
        {
            pipeline.Status = pipeline.Reading(i);
            pipeline.Raise();
            Assert.Contains(await play.PassAsync(TimeSpan.FromSeconds(1), staying), f => f.Kind == "output" && f.Text.Contains($"\"in\":{i}"));
        }
        Assert.False(play.Hub.Broken);
    }

    [Fact]
    public async Task A_connection_for_one_job_hears_of_its_outputs_only()
    {
        await using var play = new Play();
        var one = play.Services.Jobs.Start("one");
        var two = play.Services.Jobs.Start("two");
        var connection = play.Join(overview: false, job: "two");
        Assert.Contains("\"job\":\"two\"", Assert.Single(await play.PassAsync(TimeSpan.FromSeconds(1), connection)).Text);
        one.Status = one.Reading(3);
        one.Raise();
        Assert.Empty(await play.PassAsync(TimeSpan.FromSeconds(1), connection));
        two.Status = two.Reading(3);
        two.Raise();
        Assert.DoesNotContain("\"job\":\"one\"", Assert.Single(await play.PassAsync(TimeSpan.FromSeconds(1), connection)).Text);
    }

    [Fact]
    public async Task A_job_that_comes_or_goes_is_heard_of_and_let_go()
    {
        await using var play = new Play();
        var connection = play.Join();
        await play.PassAsync(TimeSpan.FromSeconds(1), connection);
        var pipeline = play.Services.Jobs.Start("late");
        Assert.Contains(await play.PassAsync(TimeSpan.FromSeconds(1), connection), f => f.Kind == "overview" && f.Text.Contains("\"late\""));
        Assert.True(pipeline.Listened);
        await play.Services.Jobs.RemoveAsync("late", default);
        Assert.Contains(await play.PassAsync(TimeSpan.FromSeconds(1), connection), f => f.Kind == "overview" && f.Text.Contains("\"jobs\":[]"));
        Assert.False(pipeline.Listened);
    }

    [Fact]
    public async Task A_job_whose_live_rows_fail_does_not_silence_the_others()
    {
        await using var play = new Play();
        var broken = play.Services.Jobs.Start("broken");
        var sound = play.Services.Jobs.Start("sound");
        broken.Rows = _ => throw new InvalidOperationException("boom");
        var connection = play.Join();
        await play.PassAsync(TimeSpan.FromSeconds(1), connection);
        broken.Raise();
        sound.Status = sound.Reading(77);
        sound.Raise();
        var frames = await play.PassAsync(TimeSpan.FromSeconds(1), connection);
        Assert.Contains(frames, f => f.Kind == "output" && f.Text.Contains("\"in\":77"));
        broken.Rows = _ => FakePipeline.Batch([("DE", 0, 1, 1)]);
        broken.Raise();
        Assert.Contains(await play.PassAsync(TimeSpan.FromSeconds(6), connection), f => f.Kind == "output" && f.Text.Contains("\"job\":\"broken\",\"output\":\"by_country\""));
    }

    [Fact]
    public async Task Rows_without_windows_are_read_once_a_second_while_counters_keep_their_pace()
    {
        await using var play = new Play();
        var pipeline = play.Services.Jobs.Start();
        var read = 0;
        pipeline.Rows = output => output == "passed_through" ? FakePipeline.Batch([("DE", 0, ++read, 1)]) : null;
        var connection = play.Join(overview: false);
        var frames = new List<(string Kind, string Text)>();
        for (var i = 0; i < 30; i++)
        {
            pipeline.Status = pipeline.Reading(i) with { Outputs = [new("passed_through", FakePipeline.ByCountry, i, 0, 0)] };
            pipeline.Raise();
            frames.AddRange(await play.PassAsync(TimeSpan.FromMilliseconds(100), connection));
        }
        Assert.InRange(read, 2, 4);
        Assert.InRange(frames.Count, 20, 31);
        Assert.Equal(read, frames.Count(f => f.Text.Contains("\"output\":\"passed_through\"")));
    }

    [Fact]
    public async Task Connections_beyond_the_bound_are_refused()
    {
        await using var play = new Play(new ConsoleOptions { MaxEventConnections = 1 });
        Assert.NotNull(play.Hub.TryJoin(true, true, null, null));
        Assert.Null(play.Hub.TryJoin(true, true, null, null));
    }

    [Fact]
    public async Task Frames_arrive_over_http_as_server_sent_events()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var pipeline = console.Services.Jobs.Start();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/events?kinds=overview");
        request.Headers.Add("Last-Event-ID", "abc-1");
        using var response = await console.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        Assert.Equal("retry: 1000", await reader.ReadLineAsync());
        Assert.Equal("", await reader.ReadLineAsync());
        Assert.Equal("event: overview", await reader.ReadLineAsync());
        Assert.StartsWith("id: ", await reader.ReadLineAsync());
        Assert.Contains("\"state\":\"running\"", await reader.ReadLineAsync());
        Assert.Equal("", await reader.ReadLineAsync());
        pipeline.Status = pipeline.Reading(42);
        pipeline.Raise();
        Assert.Equal("event: overview", await reader.ReadLineAsync());
        await reader.ReadLineAsync();
        Assert.Contains("\"in\":42", await reader.ReadLineAsync());
        Assert.Equal(400, (await console.SendAsync("GET", "/api/events?kinds=none")).Status);
    }

    /// <summary>A hub on a clock of its own.</summary>
    private sealed class Play : IAsyncDisposable
    {
        private readonly ManualTime _time = new();

        public Play(ConsoleOptions? options = null)
        {
            Hub = new EventHub(Services.Build(), options ?? new ConsoleOptions(), _time, NullLogger.Instance);
        }

        public FakeServices Services { get; } = new();

        public EventHub Hub { get; }

        public int Comments { get; private set; }

        public EventConnection Join(bool overview = true, bool output = true, string? job = null) => Hub.TryJoin(overview, output, job, null)!;

        /// <summary>Lets time pass in steps to each next timer, waiting after each step until the hub rests, and reads what came.</summary>
        public async Task<List<(string Kind, string Text)>> PassAsync(TimeSpan span, EventConnection? reader = null)
        {
            var frames = new List<(string, string)>();
            var end = _time.Now + span;
            while (true)
            {
                await RestAsync();
                Read();
                var due = _time.NextDue ?? end;
                if (due > end)
                    due = end;
                if (due > _time.Now)
                    _time.Advance(due - _time.Now);
                await RestAsync();
                Read();
                if (_time.Now >= end)
                    return frames;
            }

            void Read()
            {
                while (reader is not null && reader.Frames.TryRead(out var bytes))
                {
                    var text = Encoding.UTF8.GetString(bytes.Span);
                    if (text.StartsWith("event: ", StringComparison.Ordinal))
                        frames.Add((text[7..text.IndexOf('\n')], text));
                    else if (text.StartsWith(':'))
                        Comments++;
                }
            }
        }

        public async ValueTask DisposeAsync() => await Hub.DisposeAsync();

        /// <summary>The hub rests when its loop waits and no notice is unheard.</summary>
        private async Task RestAsync()
        {
            var deadline = Environment.TickCount64 + 10_000;
            while (!Hub.Resting)
            {
                Assert.True(Environment.TickCount64 < deadline, "the hub does not come to rest");
                await Task.Yield();
            }
        }
    }
}
