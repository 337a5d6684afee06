/* A PKCS#11 module that is SoftHSM but for the faults it is compiled with. */

#include <dlfcn.h>
#include <stdio.h>

typedef unsigned long code;
typedef unsigned long handle;

/* CK_FUNCTION_LIST: a version, then pointers in the order of the standard. */
struct functions {
    unsigned char version[2];
    void *at[68];
};

enum {
    GET_TOKEN_INFO = 6,
    LOGIN = 18,
    GET_ATTRIBUTES = 24,
    FIND_INIT = 26,
    FIND = 27,
    FIND_FINAL = 28,
    SIGN = 43
};

static struct functions *real;
static struct functions ours;

/* CK_TOKEN_INFO: 96 bytes of texts come before the flags. */
struct token_info {
    unsigned char texts[96];
    unsigned long flags;
};

/* CK_ATTRIBUTE */
struct attribute {
    unsigned long type;
    void *value;
    unsigned long length;
};

static code get_token_info(unsigned long slot, struct token_info *info)
{
    code answer = ((code (*)(unsigned long, struct token_info *))real->at[GET_TOKEN_INFO])(slot, info);
#ifdef FLAGS
    info->flags |= FLAGS;
#endif
    return answer;
}

typedef code get_attributes_type(handle, handle, struct attribute *, unsigned long);

static code get_attributes(handle session, handle object, struct attribute *attributes,
                           unsigned long count)
{
    unsigned long rooms[8] = {0};
    for (unsigned long i = 0; i < count && i < 8; i++)
        rooms[i] = attributes[i].length;
    code answer = ((get_attributes_type *)real->at[GET_ATTRIBUTES])(session, object, attributes, count);
#ifdef PRIVATE_KEYS_SHOW_POINTS
    /* A CKA_EC_POINT that the object does not have comes from the one public key there is. */
    for (unsigned long i = 0; i < count && i < 8; i++) {
        if (attributes[i].type != 0x181 || attributes[i].length != -1UL)
            continue;
        unsigned long class = 2, found = 0;
        handle public = 0;
        struct attribute wanted = {0, &class, sizeof class};
        ((code (*)(handle, struct attribute *, unsigned long))real->at[FIND_INIT])(session, &wanted, 1);
        ((code (*)(handle, handle *, unsigned long, unsigned long *))real->at[FIND])(
            session, &public, 1, &found);
        ((code (*)(handle))real->at[FIND_FINAL])(session);
        attributes[i].length = rooms[i];
        ((get_attributes_type *)real->at[GET_ATTRIBUTES])(session, public, &attributes[i], 1);
    }
#endif
    return answer;
}

static code login(handle session, unsigned long user, unsigned char *pin, unsigned long length)
{
#ifdef LOGINS
    FILE *file = fopen(LOGINS, "a");
    if (file) {
        fputs("login\n", file);
        fclose(file);
    }
#endif
#ifdef KEYPAD
    if (!pin) {
        pin = (unsigned char *)KEYPAD;
        length = sizeof KEYPAD - 1;
    }
#endif
#ifdef LOGIN_ANSWER
    return LOGIN_ANSWER;
#endif
    return ((code (*)(unsigned long, unsigned long, unsigned char *, unsigned long))real->at[LOGIN])(
        session, user, pin, length);
}

static code sign(handle session, unsigned char *data, unsigned long length,
                 unsigned char *signature, unsigned long *signature_length)
{
#ifdef SIGN_ANSWER
    return SIGN_ANSWER;
#endif
    code answer = ((code (*)(unsigned long, unsigned char *, unsigned long, unsigned char *,
                             unsigned long *))real->at[SIGN])(
        session, data, length, signature, signature_length);
#ifdef WRONG_SIGNATURE
    if (answer == 0 && signature)
        signature[40] ^= 1;
#endif
#ifdef SHORT_SIGNATURE
    if (answer == 0 && signature)
        *signature_length = 63;
#endif
    return answer;
}

code C_GetFunctionList(struct functions **list)
{
    void *library = dlopen(SOFTHSM, RTLD_NOW);
    if (!library)
        return 5;
    code (*get)(struct functions **) = (code (*)(struct functions **))dlsym(library, "C_GetFunctionList");
    code answer = get(&real);
    if (answer != 0)
        return answer;
    ours = *real;
    ours.at[GET_TOKEN_INFO] = get_token_info;
    ours.at[LOGIN] = login;
    ours.at[GET_ATTRIBUTES] = get_attributes;
    ours.at[SIGN] = sign;
    *list = &ours;
    return 0;
}
