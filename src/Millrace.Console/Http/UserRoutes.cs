using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Http;

internal sealed class UserRoutes(ConsoleServices services)
{
    private const string Tag = "users";

    private static readonly TextParameter Name = new("name", ParameterPlace.Path, "the user's name");

    public IReadOnlyList<Route> All() => services.Users is not { } users ? [] :
    [
        new("GET", "/api/users", Tag, "listUsers", "Users of the Kafka port")
        {
            Answers = [new(200, "every user, without passwords", Type: ConsoleJson.Relaxed.UserList)],
            Serve = context => Replies.JsonAsync(context, new UserList(users.List()), ConsoleJson.Relaxed.UserList),
        },
        new("POST", "/api/users", Tag, "setUser", "Create a user, or change its password")
        {
            Body = new("name and password; the password is salted, hashed and forgotten", ["application/json"], ConsoleJson.Relaxed.UserRequest,
                """{"name": "alice", "password": "..."}"""),
            Answers = [new(200, "the password was changed", null), new(201, "a new user", null), Answer.Problem(400, "a name or password that cannot be used")],
            Serve = async context =>
            {
                var wanted = await Replies.ReadJsonAsync(context, ConsoleJson.Relaxed.UserRequest);
                context.Response.StatusCode = users.Set(wanted.Name, wanted.Password) ? 201 : 200;
            },
        },
        new("DELETE", "/api/users/{name}", Tag, "removeUser", "Remove a user")
        {
            Parameters = [Name],
            Answers = [new(204, "gone", null), Answer.Problem(404, "no such user")],
            Serve = context =>
            {
                var name = Name.Read(context);
                if (!users.Remove(name))
                    throw new ConsoleException(404, "No such user", $"there is no user '{name}'", "see: ./millrace user list");
                context.Response.StatusCode = 204;
                return Task.CompletedTask;
            },
        },
    ];
}
