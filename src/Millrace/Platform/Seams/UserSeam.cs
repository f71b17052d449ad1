using Millrace.Log.Security;
using Millrace.WebConsole.Seams;

namespace Millrace.Host.Platform.Seams;

/// <summary>The broker's users for the console.</summary>
internal sealed class UserSeam(SecurityStore store) : IUsers
{
    public IReadOnlyList<UserInfo> List() => [.. store.Users().Select(u => new UserInfo(u.Key, u.Value))];

    public bool Set(string name, string password)
    {
        try
        {
            return store.SetPassword(name ?? "", password ?? "");
        }
        catch (ArgumentException wrong)
        {
            throw new ConsoleException(400, "Bad user", wrong.Message.Split(" (Parameter")[0]);
        }
    }

    public bool Remove(string name) => store.RemoveUser(name);
}
